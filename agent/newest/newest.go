// Package newest takes the secrets of the deployed stacks that are in Vault, and asks Vault once
// an hour for the newest version of each. It gives those that are newer than the version in git.
// It guarantees that no value leaves it, and that a node without such secrets asks nothing.
package newest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
)

// Known is what Vault said. It is in the state file, so that a restart does not ask anew.
type Known struct {
	Asked  time.Time      `json:"asked,omitzero"`   // when Vault answered last
	Next   time.Time      `json:"next,omitzero"`    // when it is asked again
	Failed int            `json:"failed,omitempty"` // how often it did not answer since
	Newest map[string]int `json:"newest,omitempty"` // the newest versions, by path
	Error  string         `json:"error,omitempty"`  // of the last time
	Hint   string         `json:"hint,omitempty"`
}

// State is what is known of a stack's secrets in Vault.
type State struct {
	Asked time.Time `json:"asked,omitzero"` // when Vault was asked last for newer versions, and answered; zero: not yet
	Next  time.Time `json:"next,omitzero"`  // when it is asked again
	Newer []Newer   `json:"newer,omitempty"`
	Error string    `json:"error,omitempty"` // why a newest version is not known
	Hint  string    `json:"hint,omitempty"`
}

// Newer is a secret of which Vault has a newer version than git.
type Newer struct {
	Secret  string `json:"secret"` // its name in the compose file
	Path    string `json:"path"`
	Version int    `json:"version"` // that is deployed
	Newest  int    `json:"newest"`
	Auto    bool   `json:"auto,omitempty"` // git says @auto
}

// Of gives the state of the secrets of a stack; nil if none is in Vault. A version that the
// last sync has read is one that git names, also if it is not deployed.
func (k Known) Of(deployed *record.GoodState, last *record.Sync) *State {
	state := &State{Asked: k.Asked, Next: k.Next, Error: k.Error, Hint: k.Hint}
	inVault := In(deployed)
	for _, one := range inVault {
		named := one.Vault.Version
		if last != nil {
			for _, read := range last.Vault {
				if read.Path == one.Vault.Path {
					named = max(named, read.Version)
				}
			}
		}
		if newest := k.Newest[one.Vault.Path]; newest > named {
			state.Newer = append(state.Newer, Newer{Secret: one.Key, Path: one.Vault.Path, Version: one.Vault.Version, Newest: newest, Auto: one.Vault.Auto})
		}
	}
	if len(inVault) == 0 {
		return nil
	}
	slices.SortFunc(state.Newer, func(a, b Newer) int { return strings.Compare(a.Secret, b.Secret) })
	return state
}

// In lists the secrets of a good state that are in Vault.
func In(deployed *record.GoodState) (list []record.Object) {
	if deployed == nil {
		return nil
	}
	for _, one := range deployed.Secrets {
		if one.Vault.Path != "" {
			list = append(list, one)
		}
	}
	return list
}

// Text says what is newer.
func (n Newer) Text() string {
	return fmt.Sprintf("%s: Vault has version %d of %s; version %d is deployed", n.Secret, n.Newest, n.Path, n.Version)
}

// Hint says how it is deployed.
func (n Newer) Hint() string {
	if n.Auto {
		return "to deploy it, commit a change of a file of the node: @auto takes the newest version then"
	}
	return fmt.Sprintf("to deploy it, raise @%d to @%d in a merge request", n.Version, n.Newest)
}
