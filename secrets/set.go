// Package secrets takes the ciphertext of a node's SOPS files and the agent's
// keys, and gives redacting Values and the versions under which they stand in
// Swarm. It guarantees that plaintext stays in memory: no file, log line, error
// or printed Value holds any of it.
//
// Cryptography is that of SOPS, age and OpenPGP as their libraries do it, or of
// gpg where a GnuPG home is named. SOPS handles plaintext as strings, which Go
// cannot wipe: those are dropped as soon as a file has been read, and what the
// Values hold is in buffers that Wipe zeroes.
//
// SOPS' MAC covers every value, and an encrypted value is bound to the names
// above it. It does not cover
//   - the names of what stands in plaintext, and where one such value ends and
//     the next begins: no value of a secret is taken from there unless
//     AllowPlaintext says so, only versions;
//   - with mac_only_encrypted, anything that stands in plaintext;
//   - empty values, nulls, and empty mappings and lists: none is given as a
//     secret;
//   - comments: those that are encrypted have to decrypt, and a whole file with
//     one in plaintext where all others are encrypted is refused;
//   - in a whole YAML or JSON file, whether a value stands in a list. A whole
//     file in the binary format, which sops makes of an unknown extension, is
//     covered to its last byte.
//
// Nothing outside the given files, keys and services is consulted, but for
// /etc/sops/audit.yaml: SOPS reads it when a program starts, and records
// decryptions where an operator has set that up.
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

// File is a file of the repository: its path and its content as in git.
type File struct {
	Path string
	Data []byte
}

// Options say what is admitted.
type Options struct {
	// AllowPlaintext admits secrets that stand unencrypted in git.
	AllowPlaintext bool
}

// Set is what the files of one node hold. The zero Set is empty.
type Set struct {
	whole map[string]Value // content of whole files, by path
	keyed []*keyed         // files of keys, the first has precedence
}

// Open decrypts all files and verifies their MACs. A file that cannot be opened
// is a fault; all faults are reported together, and nothing is kept then.
func (k *Keyring) Open(files []File, o Options) (*Set, error) {
	return build(files, func(doc *document) error { return doc.decrypt(k) }, o, false)
}

// Seal reads the files without keys: the names are there and the versions that
// stand unencrypted, the Values are not known. MACs cannot be verified.
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

// ignored tells files that stand beside secrets and hold none.
func ignored(file File) bool {
	switch path.Base(file.Path) {
	case ".gitkeep", ".gitignore", ".gitattributes", ".sops.yaml":
		return true
	}
	return len(file.Data) == 0
}

// isKeyed tells a file of keys from a whole file, which may have any name but
// stands in a folder secrets/.
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

// addPlain takes a file that SOPS did not encrypt.
func (s *Set) addPlain(file File, o Options) error {
	if !o.AllowPlaintext {
		return fault.New(fault.Place{File: file.Path}, hintEncrypt+file.Path+" (and rotate what it holds: git keeps the plaintext)",
			"the file is not encrypted")
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

// Lookup gives the value of a secret: name is its key in the compose file, file
// the repository path of its `file:`, or "". The first of these counts: the
// whole file <file>.enc, the whole file <file>, the key name of
// secrets.override.enc or secrets.enc, the base name of file as key of these.
// A Value that is found need not be Known.
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

// Missing says why Lookup finds nothing, and what to do about it.
func (s *Set) Missing(name, file string) *fault.Error {
	for _, key := range lookupKeys(name, file) {
		for _, keys := range s.keyed {
			if refused, ok := keys.refused[key]; ok {
				return fault.New(refused.place, "write it as a text, and see that encrypted_regex and its like in .sops.yaml cover it",
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
		places = append(places, "the key "+key+" of "+baseOverride+" and "+baseSecrets)
	}
	return fault.New(fault.Place{File: file}, "add it with sops to one of these places",
		"the secret %q has no value: looked for %s", name, strings.Join(places, ", "))
}

// Opaque lists the files whose keys cannot be seen without a key, so that
// neither their names nor their versions are known. It is empty after Open.
func (s *Set) Opaque() []string {
	var paths []string
	for _, keys := range s.keyed {
		if keys.opaque {
			paths = append(paths, keys.path)
		}
	}
	return paths
}

// Names lists what the set has values for, sorted: the keys of the files of
// keys, and the names of whole files without .enc.
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

// Wipe zeroes all values of the set, wherever they have been copied to.
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
