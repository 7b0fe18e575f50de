package secrets

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
)

// Recipients lists the public keys of a ring as SOPS files name them.
func Recipients(k *Keyring) []string { return k.recipients }

// Names lists the secrets of the set, sorted: the keys of the files of keys, and the
// names of whole files without .enc.
func (s *Set) Names() []string {
	names := map[string]bool{}
	for at := range s.values {
		names[cmp.Or(at.Key, strings.TrimSuffix(path.Base(at.File), ".enc"))] = true
	}
	delete(names, autoVersionKey)
	return slices.Sorted(maps.Keys(names))
}

// SOPSVersion is what new files say of the version of sops.
const SOPSVersion = sopsVersion
