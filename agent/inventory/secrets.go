package inventory

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

// Rotation is the due time of a secret of the applied stack.
type Rotation struct {
	Secret  string    `json:"secret"` // its name in the compose file
	Name    string    `json:"name"`   // of the live version
	Created time.Time `json:"created"`
	Due     time.Time `json:"due"`
}

// Overdue gives how long the rotation is overdue; 0 when it is not due.
func (r Rotation) Overdue(now time.Time) time.Duration { return max(now.Sub(r.Due), 0) }

// Rotations lists when each secret of the applied stack is due for rotation, by the name of
// its live version. A secret without a rotation period is left out.
func (s *Survey) Rotations() []Rotation {
	var all []Rotation
	for _, one := range s.Secrets {
		if !one.Due.IsZero() {
			all = append(all, Rotation{Secret: one.Secret, Name: one.Live.Name, Created: one.Live.Created, Due: one.Due})
		}
	}
	slices.SortFunc(all, func(a, b Rotation) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Age is when the live version of a secret was made.
type Age struct {
	Secret  string // its name in the compose file
	Created time.Time
}

// Ages lists the secrets of the applied stack that the agent made, sorted by name.
func (s *Survey) Ages() []Age {
	var all []Age
	for _, one := range s.Secrets {
		if one.Live != nil && !one.Live.Created.IsZero() {
			all = append(all, Age{one.Secret, one.Live.Created})
		}
	}
	slices.SortFunc(all, func(a, b Age) int { return strings.Compare(a.Secret, b.Secret) })
	return slices.CompactFunc(all, func(a, b Age) bool { return a.Secret == b.Secret })
}

// Overdue gives the rotations that are due.
func Overdue(rotations []Rotation, now time.Time) []Rotation {
	return slices.DeleteFunc(slices.Clone(rotations), func(r Rotation) bool { return r.Overdue(now) == 0 })
}

// ListedSecret is one secret with its live version and the others.
type ListedSecret struct {
	Secret  string           `json:"secret"`         // its name in the compose file; in Swarm, where it has left the files
	Live    *deploy.Version  `json:"live,omitempty"` // the version of the applied stack; none once it has left the files
	Due     time.Time        `json:"due,omitzero"`   // when it is to be rotated
	Overdue bool             `json:"overdue"`
	Others  []deploy.Version `json:"others,omitempty"` // the newest first
	Vault   *InVault         `json:"vault,omitempty"`  // where the live version's value is; none for a value of the repository
}

// InVault is where in Vault the value of a secret is.
type InVault struct {
	Path    string `json:"path"`
	Version int    `json:"version"`
	Newest  int    `json:"newest,omitempty"` // that Vault has; 0 if it is not known
}

// Newer says which newer version Vault has; "" for none.
func (v *InVault) Newer() string {
	if v == nil || v.Newest <= v.Version {
		return ""
	}
	return fmt.Sprintf("Vault has version %d", v.Newest)
}

// listed gives the secrets by name, the versions of each together.
func (s *Survey) listed(applied *record.GoodState) []ListedSecret {
	objects := map[string]record.Object{}
	for _, object := range applied.Secrets {
		objects[object.Name] = object
	}
	list := []ListedSecret{}
	byKey := map[string]int{}
	for _, version := range s.Versions {
		if version.Kind != deploy.Secret {
			continue
		}
		at, listed := byKey[version.Key]
		if !listed {
			at, byKey[version.Key] = len(list), len(list)
			list = append(list, ListedSecret{Secret: version.Key})
		}
		one := &list[at]
		object, live := objects[version.Name]
		if !live || one.Live != nil {
			one.Others = append(one.Others, version)
			continue
		}
		one.Live = &version
		if object.Key != "" {
			one.Secret = object.Key
		}
		if in := object.Vault; in.Path != "" {
			one.Vault = &InVault{Path: in.Path, Version: in.Version, Newest: s.newest[in.Path]}
		}
		if object.Rotate > 0 {
			one.Due = version.Created.Add(object.Rotate)
			one.Overdue = s.At.After(one.Due)
		}
	}
	slices.SortStableFunc(list, func(a, b ListedSecret) int { return strings.Compare(a.Secret, b.Secret) })
	return list
}
