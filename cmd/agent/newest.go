package main

import (
	"slices"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/desk"
	"coin.internal/coin-agent/agent/newest"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/vault"
)

// watchVault has the agent ask for newer versions of secrets in the Vault that the settings
// name.
func watchVault(a *app, p *parts, made *agent.Parts) (err error) {
	s := &a.settings
	if s.VaultMount == "" {
		return nil
	}
	p.newest, err = newest.New(newest.Options{
		Open:    func() (newest.Client, error) { return vault.New(s.Vault()) },
		Allowed: func(path string) error { return p.policy.Policy().ReadVault(path, s.VaultBelow()) },
		Store:   p.store.Objects(), Log: made.Log,
	})
	made.Newest = p.newest.Known
	return err
}

// deployedInVault lists the paths in Vault of what is deployed, each once.
func deployedInVault(of *agent.Agent) (paths []string) {
	for _, key := range of.Stacks() {
		if stack, err := of.Desk(key); err == nil { // else it has just left the list
			paths = append(paths, desk.InVault(stack)...)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// storedNewest gives what Vault said last, where no agent runs. What cannot be read is not known.
func storedNewest(s *store.Store) func() newest.Known {
	known, _ := s.Objects().Newest()
	return func() newest.Known { return known }
}
