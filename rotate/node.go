package rotate

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// loaded is a node with its secrets open.
type loaded struct {
	node  *manifests.Node
	set   *secrets.Set
	stack *compose.Stack

	found    []compose.Secret // those with the value to rotate; the first is the requested one
	location secrets.Location
	group    *group // the nodes with the same value
}

// load reads, decrypts and renders each stack of a node as a sync does.
func load(ctx context.Context, fsys fs.FS, environment, name string, keys *secrets.Keyring) ([]*loaded, error) {
	rendered, err := desired.RenderAll(ctx, fsys, desired.Options{
		Environment: environment, Node: name, Keys: func() (*secrets.Keyring, error) { return keys, nil },
	})
	var all []*loaded
	for _, one := range rendered {
		all = append(all, &loaded{node: one.State.Node, set: one.State.Secrets, stack: one.Stack})
	}
	return all, err
}

// findAll finds a secret by its name in the stacks of a node, or in the one that only names, and in
// the others what has its value in the same place. It gives the stacks with it, and those without.
func findAll(stacks []*loaded, name, only string) (with, without []*loaded, err error) {
	var faults []error
	places := map[secrets.Location]bool{}
	for _, one := range stacks {
		if only != "" && one.stack.Name != only {
			continue
		}
		found, err := one.find(name)
		faults = append(faults, err)
		if found && err == nil {
			with, places[one.location] = append(with, one), true
		}
	}
	for _, one := range stacks {
		if slices.Contains(with, one) {
			continue
		}
		shared := slices.DeleteFunc(slices.Clone(one.stack.Secrets), func(s compose.Secret) bool {
			at, known := one.set.Locate(s.Value)
			return !known || !places[at]
		})
		if len(shared) == 0 {
			without = append(without, one)
			continue
		}
		faults = append(faults, one.choose(name, shared))
		with = append(with, one)
	}
	return with, without, errors.Join(faults...)
}

// find finds a secret by its key, its SV_ variable or the place of its value, and all
// others that have their value in the same place. It reports false if there is none.
func (l *loaded) find(name string) (bool, error) {
	ways := []func(compose.Secret) bool{
		func(s compose.Secret) bool { return s.Key == name },
		func(s compose.Secret) bool {
			return s.Variable != "" && (s.Variable == name || s.Variable == "SV_"+name)
		},
		func(s compose.Secret) bool {
			at, ok := l.set.Locate(s.Value)
			return ok && (at.Key == name || at.Key == "" && strings.TrimSuffix(path.Base(at.File), ".enc") == name)
		},
	}
	for _, way := range ways {
		var candidates []compose.Secret
		for _, secret := range l.stack.Secrets {
			if way(secret) {
				candidates = append(candidates, secret)
			}
		}
		if len(candidates) > 0 {
			return true, l.choose(name, candidates)
		}
	}
	return false, nil
}

func (l *loaded) choose(name string, candidates []compose.Secret) error {
	place := fault.Place{File: l.node.Dir}
	if in := candidates[0].Vault.Path; in != "" {
		return fault.New(place, "write a new version there with vault kv put, then set the number after @ in the file to it, and have that merged",
			"the value of the secret %q is in Vault, at %s: the agent does not write to Vault", candidates[0].Key, in)
	}
	at, ok := l.set.Locate(candidates[0].Value)
	if !ok {
		return fault.New(place, "rotate it in the system that it comes from", "the value of the secret %q is not in the repository", candidates[0].Key)
	}
	for _, other := range candidates[1:] {
		if elsewhere, _ := l.set.Locate(other.Value); elsewhere != at {
			return fault.New(place, "name one of them", "%q matches several secrets: %s", name, names(keysOf(candidates)))
		}
	}
	l.location, l.found = at, candidates[:1]
	for _, secret := range l.stack.Secrets {
		if elsewhere, ok := l.set.Locate(secret.Value); ok && elsewhere == at && secret.Key != candidates[0].Key {
			l.found = append(l.found, secret)
		}
	}
	for _, secret := range l.found {
		if secret.Variable == "" {
			return fault.New(place, "give it a versioned name in the compose file: `name: "+secret.Key+".$SV_"+variableName(secret.Key)+"`, and deploy that first",
				"the secret %q does not have a version in its name %s, so a new value would have the same name", secret.Key, secret.Spec.Name)
		}
	}
	return nil
}

// variableName gives an SV_ variable, without SV_, for a secret's key.
func variableName(key string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, key)
}

func keysOf(all []compose.Secret) []string {
	keys := make([]string, 0, len(all))
	for _, secret := range all {
		keys = append(keys, secret.Key)
	}
	slices.Sort(keys)
	return keys
}

func (l *loaded) value() secrets.Value { return l.found[0].Value }

// variables lists the versions to raise, sorted.
func (l *loaded) variables() []string {
	var all []string
	for _, secret := range l.found {
		all = append(all, secret.Variable)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
