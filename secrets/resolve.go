package secrets

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// VaultReader reads secrets of a KV version 2 engine. Package vault is one.
type VaultReader interface {
	// Read gives a version of the secret at a path, 0 for the newest, by its keys. Its errors
	// do not contain a value. They are transient if the server may answer later.
	Read(ctx context.Context, path string, version int) (read int, data map[string][]byte, err error)
}

// Reading is a version of a secret that was read from Vault, or a newest version that was
// asked for.
type Reading struct {
	Path    string `json:"path"`
	Version int    `json:"version"`
	Auto    bool   `json:"auto,omitempty"` // the reference is @auto
}

// Resolving says what Resolve reads.
type Resolving struct {
	Allowed func(path string) error // why a path must not be read; nil: all may
	Settled []Reading               // of @auto: these versions are read, not the newest ones
	// Plan reads no values, and asks for the newest versions only. What Vault does not answer
	// stays unknown.
	Plan bool
}

// MaxReferences is how many secrets the files of a node may take from Vault.
const MaxReferences = 500

// Resolve reads the values that are in Vault, each version of a path once, and lists what it
// read. It returns all faults joined. Server faults end it at once. Without a reader it sets the
// settled versions only.
func (s *Set) Resolve(ctx context.Context, from VaultReader, o Resolving) ([]Reading, error) {
	places := s.referenced()
	if len(places) > MaxReferences {
		return nil, fault.New(s.references[places[0]].place, "put keys that belong together into one secret of Vault, and remove references that no service needs",
			"the files of the node have %d references to Vault; %d is the maximum", len(places), MaxReferences)
	}
	var all []Reading
	var faults []error
	for len(places) > 0 {
		group := sameVersion(s, places)
		places = places[len(group):]
		reading, err := resolveGroup(ctx, s, from, group, o)
		if fault.IsTransient(err) && o.Plan {
			return all, nil
		}
		faults = append(faults, err)
		if fault.IsTransient(err) || ctx.Err() != nil {
			break
		}
		if reading.Version > 0 {
			all = append(all, reading)
		}
	}
	return all, errors.Join(faults...)
}

// sameVersion returns the first places of a list that need the same version of a path.
func sameVersion(s *Set, places []Location) []Location {
	n, first := 1, s.references[places[0]]
	for n < len(places) && compareVersions(first, s.references[places[n]]) == 0 {
		n++
	}
	return places[:n]
}

// resolveGroup reads the version that a group of places needs.
func resolveGroup(ctx context.Context, s *Set, from VaultReader, group []Location, o Resolving) (Reading, error) {
	first := s.references[group[0]]
	if o.Allowed != nil && from != nil {
		if err := o.Allowed(first.to.Path); err != nil {
			return Reading{}, fault.New(first.place, fault.Hint(err), "%w", err)
		}
	}
	for _, one := range o.Settled {
		if first.to.Auto && one.Auto && one.Path == first.to.Path {
			first.to.Version = one.Version
		}
	}
	reading := Reading{Path: first.to.Path, Version: first.to.Version, Auto: first.to.Auto}
	if from == nil || o.Plan && reading.Version > 0 {
		settleGroup(s, group, reading.Version)
		return Reading{}, nil
	}
	version, data, err := from.Read(ctx, first.to.Path, first.to.Version)
	defer func() {
		for _, value := range data {
			clear(value)
		}
	}()
	if err != nil {
		return Reading{}, fault.New(first.place, fault.Hint(err), "%w", err)
	}
	reading.Version = version
	settleGroup(s, group, version)
	if o.Plan {
		return reading, nil
	}
	return reading, fillGroup(s, group, data)
}

// settleGroup sets the version of a group of references.
func settleGroup(s *Set, group []Location, version int) {
	for _, at := range group {
		one := s.references[at]
		one.to.Version = version
		s.references[at] = one
	}
}

// fillGroup sets the values of a group of places.
func fillGroup(s *Set, group []Location, data map[string][]byte) error {
	var faults []error
	for _, at := range group {
		one := s.references[at]
		content, ok := data[one.to.Key]
		switch {
		case !ok:
			faults = append(faults, fault.WithCode(fault.New(one.place, "correct the key after #, or write a version that has it: vault kv patch", "version %d of %s in Vault has no key %q", one.to.Version, one.to.Path, one.to.Key), fault.CodeVault))
		case content == nil:
			faults = append(faults, fault.WithCode(fault.New(one.place, "write the value as a text", "the key %q in version %d of %s in Vault is not a text, a number or a boolean", one.to.Key, one.to.Version, one.to.Path), fault.CodeVault))
		case len(content) == 0:
			faults = append(faults, fault.WithCode(fault.New(one.place, "write a value", "the key %q in version %d of %s in Vault is empty, and Swarm does not accept empty secrets", one.to.Key, one.to.Version, one.to.Path), fault.CodeVault))
		default:
			s.values[at] = NewValue(append([]byte(nil), content...))
		}
	}
	return errors.Join(faults...)
}

func compareVersions(a, b held) int {
	auto := map[bool]int{true: 1}
	return cmp.Or(strings.Compare(a.to.Path, b.to.Path), auto[a.to.Auto]-auto[b.to.Auto], a.to.Version-b.to.Version)
}

func compareHeld(a, b held) int {
	return cmp.Or(compareVersions(a, b), strings.Compare(a.to.Key, b.to.Key), strings.Compare(a.place.File, b.place.File), a.place.Line-b.place.Line)
}
