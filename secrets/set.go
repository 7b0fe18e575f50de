// Package secrets reads a node's SOPS files: from their ciphertext and the agent's keys
// it makes redacting Values, and the versions that name them in Swarm. It guarantees
// that plaintext stays in memory: files, log lines, errors and printed Values do not
// contain it.
//
// The cryptography is that of the libraries of SOPS, age and OpenPGP, or of gpg for a
// GnuPG home. SOPS uses strings for plaintext, which Go cannot wipe. The package drops
// them after it has read a file. The buffers of Values are zeroed by Wipe.
//
// The MAC of SOPS covers every value, and an encrypted value is bound to the names above
// it. The MAC does not cover
//   - the names of plaintext values, and the borders between them: the package reads
//     only versions from plaintext, and secrets only with AllowPlaintext;
//   - with mac_only_encrypted, all plaintext;
//   - empty values, nulls, and empty mappings and lists: none of them is a secret;
//   - comments: encrypted comments must decrypt, and a whole file is refused if one
//     comment is in plaintext and all others are encrypted;
//   - in a whole YAML or JSON file, whether a value is in a list. The MAC covers every
//     byte of a whole file in the binary format, which sops uses for an unknown
//     extension.
//
// The package reads nothing but the given files, keys and services, with one exception:
// SOPS reads /etc/sops/audit.yaml at the start of the program, and records decryptions
// if an operator has enabled it there.
package secrets

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

const (
	baseOverride = "secrets.override.enc"
	baseSecrets  = "secrets.enc"
)

// File is a file of the repository: its path and its content in git.
type File struct {
	Path string
	Data []byte
}

// Options are the options of Open and Seal.
type Options struct {
	// AllowPlaintext accepts unencrypted secrets in git.
	AllowPlaintext bool
}

// Set has the secrets and versions in the files of one node. The zero Set is empty.
type Set struct {
	whole map[string]Value // content of whole files, by path
	keyed []*keyed         // files of keys; the first takes precedence
}

// Open decrypts all files and verifies their MACs. It returns all faults joined, and no
// Set if there is one.
func (k *Keyring) Open(files []File, o Options) (*Set, error) {
	return build(files, func(doc *document) error { return doc.decrypt(k) }, o, false)
}

// Seal reads the files without keys. The Set has the names and the unencrypted versions.
// Its Values are unknown. Seal cannot verify MACs.
func Seal(files []File, o Options) (*Set, error) {
	return build(files, (*document).seal, o, true)
}

func build(files []File, open func(*document) error, o Options, isSealed bool) (*Set, error) {
	set := &Set{whole: map[string]Value{}}
	var faults []error
	for _, file := range files {
		file.Path = path.Clean(file.Path)
		if ignored(file) {
			continue
		}
		faults = append(faults, set.add(file, open, o, isSealed))
	}
	if err := errors.Join(faults...); err != nil {
		set.Wipe()
		return nil, err
	}
	slices.SortStableFunc(set.keyed, func(a, b *keyed) int { return a.rank() - b.rank() })
	return set, nil
}

// ignored reports whether a file in a folder of secrets has no secrets.
func ignored(file File) bool {
	switch path.Base(file.Path) {
	case ".gitkeep", ".gitignore", ".gitattributes", ".sops.yaml":
		return true
	}
	return len(file.Data) == 0
}

// isKeyed reports whether a file is a file of keys. Files in a folder secrets/ are whole
// files with any name.
func isKeyed(name string) bool {
	base := path.Base(name)
	return (base == baseOverride || base == baseSecrets) && path.Base(path.Dir(name)) != "secrets"
}

func (s *Set) add(file File, open func(*document) error, o Options, isSealed bool) error {
	doc, err := parse(file)
	if err != nil {
		return err
	}
	if doc == nil {
		return s.addPlain(file, o)
	}
	if err := open(doc); err != nil {
		return err
	}
	switch {
	case isKeyed(file.Path) && isSealed && doc.format == formatBinary:
		s.keyed = append(s.keyed, &keyed{path: file.Path, opaque: true})
	case isKeyed(file.Path):
		entries, err := doc.entries(isSealed)
		if err != nil {
			return err
		}
		return s.addKeyed(file, entries, o)
	case isSealed:
		s.whole[file.Path] = sealed()
	default:
		content, err := doc.content()
		if err != nil {
			return err
		}
		s.whole[file.Path] = NewValue(content)
	}
	return nil
}

// addPlain adds an unencrypted file.
func (s *Set) addPlain(file File, o Options) error {
	if !o.AllowPlaintext {
		return notEncrypted(file.Path)
	}
	if !isKeyed(file.Path) {
		s.whole[file.Path] = NewValue(slices.Clone(file.Data))
		return nil
	}
	entries, err := plainEntries(file.Path, file.Data, entryPlain)
	if err != nil {
		return err
	}
	return s.addKeyed(file, entries, o)
}

func (s *Set) addKeyed(file File, entries []entry, o Options) error {
	keys := &keyed{path: file.Path, values: map[string]Value{}, versions: map[string]string{}, refused: map[string]refusal{}}
	s.keyed = append(s.keyed, keys)
	return keys.fill(file.Data, entries, o)
}

// Lookup returns the value of a secret. name is its key in the compose file, file the
// repository path of its `file:`, or "". Lookup uses the first of: the whole file
// <file>.enc, the whole file <file>, the key name in secrets.override.enc or
// secrets.enc, the base name of file as a key in these. The Value may be unknown.
func (s *Set) Lookup(name, file string) (Value, bool) {
	if file != "" {
		file = path.Clean(file)
		for _, whole := range []string{file + ".enc", file} {
			if value, ok := s.whole[whole]; ok {
				return value, true
			}
		}
	}
	for _, key := range lookupKeys(name, file) {
		for _, keys := range s.keyed {
			if value, ok := keys.values[key]; ok {
				return value, true
			}
		}
	}
	return sealed(), len(s.Opaque()) > 0
}

func lookupKeys(name, file string) []string {
	keys := []string{name}
	if base := path.Base(file); file != "" && base != name {
		keys = append(keys, base)
	}
	return slices.DeleteFunc(keys, func(key string) bool { return key == autoVersionKey })
}

// Missing returns a fault with the reason why Lookup does not find a value.
func (s *Set) Missing(name, file string) *fault.Error {
	for _, key := range lookupKeys(name, file) {
		for _, keys := range s.keyed {
			if refused, ok := keys.refused[key]; ok {
				return fault.New(refused.place, "write it as a text, and check that rules such as encrypted_regex in .sops.yaml include it",
					"the secret %q has no value: its key %s", name, refused.why)
			}
		}
	}
	var places []string
	if file != "" {
		file = path.Clean(file)
		places = append(places, file+".enc", file)
	}
	for _, key := range lookupKeys(name, file) {
		places = append(places, "the key "+key+" in "+baseOverride+" and "+baseSecrets)
	}
	return fault.New(fault.Place{File: file}, "add it with sops to one of these places",
		"the secret %q has no value: looked for %s", name, strings.Join(places, ", "))
}

// Opaque lists the files that are encrypted as a whole, so that their keys and versions
// are unknown. It is empty after Open.
func (s *Set) Opaque() []string {
	var paths []string
	for _, keys := range s.keyed {
		if keys.opaque {
			paths = append(paths, keys.path)
		}
	}
	return paths
}

// Names lists the secrets of the set, sorted: the keys of the files of keys, and the
// names of whole files without .enc.
func (s *Set) Names() []string {
	names := map[string]bool{}
	for whole := range s.whole {
		names[strings.TrimSuffix(path.Base(whole), ".enc")] = true
	}
	for _, keys := range s.keyed {
		for key := range keys.values {
			names[key] = true
		}
	}
	delete(names, autoVersionKey)
	return slices.Sorted(maps.Keys(names))
}

// Wipe zeroes all values of the set, including their copies.
func (s *Set) Wipe() {
	for _, value := range s.whole {
		value.Wipe()
	}
	for _, keys := range s.keyed {
		for _, value := range keys.values {
			value.Wipe()
		}
	}
}
