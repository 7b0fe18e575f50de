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
// A value can be a Reference to Vault instead, in ciphertext or in plaintext. Resolve reads
// those, and they are unknown before.
//
// The package reads nothing but the given files, keys and services, with one exception:
// SOPS reads /etc/sops/audit.yaml at the start of the program, and records decryptions
// if an operator has enabled it there.
package secrets

import (
	"cmp"
	"errors"
	"path"
	"slices"
	"strings"
	"sync"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/oneline"
)

const (
	baseOverride = "secrets.override.enc"
	baseSecrets  = "secrets.enc"
)

// File is a file of the repository: its path and its content in git.
type File struct {
	Path string
	Data []byte

	Keyed bool // it is a file of keys, whatever its name is
}

// Options are the options of Open and Seal.
type Options struct {
	// AllowPlaintext accepts unencrypted secrets in git.
	AllowPlaintext bool
	// Folders are those of the files, if there are several: what a later one has takes
	// precedence over the same in an earlier one.
	Folders []string
}

// Set has the secrets and versions in the files of one node. The zero Set is empty.
type Set struct {
	folders  []string // Options.Folders
	keyed    []string // files of keys; the first takes precedence
	opaque   []string // those that are encrypted as a whole, and were read without a key
	values   map[Location]Value
	versions map[Location]string  // by SV_ name; "" if encrypted and read without a key
	refused  map[Location]refusal // the keys and whole files that Lookup does not return

	references map[Location]held // the values that are in Vault, which are unknown before Resolve
}

// Location is the place of a value: a whole file, or a key in a file of keys.
type Location struct {
	File string
	Key  string // "" for a whole file
}

// refusal is the place of a key or file that Lookup does not return, and the reason.
type refusal struct {
	place fault.Place
	why   string
}

// Open decrypts all files and verifies their MACs. It returns all faults joined, and no
// Set if there is one.
func (k *Keyring) Open(files []File, o Options) (*Set, error) {
	return build(k, files, o)
}

// Seal reads the files without keys. The Set has the names and the unencrypted versions.
// Its Values are unknown. Seal cannot verify MACs.
func Seal(files []File, o Options) (*Set, error) {
	return build(nil, files, o)
}

// Inspect reads the files without keys as Seal does, and returns the Set beside the
// faults: the content of a file with a fault counts as unknown.
func Inspect(files []File, o Options) (*Set, error) {
	set, faults := read(nil, files, o)
	return set, errors.Join(faults...)
}

func build(ring *Keyring, files []File, o Options) (*Set, error) {
	set, faults := read(ring, files, o)
	if err := errors.Join(faults...); err != nil {
		set.Wipe()
		return nil, err
	}
	return set, nil
}

func read(ring *Keyring, files []File, o Options) (*Set, []error) {
	set := newSet(o)
	var faults []error
	for _, file := range files {
		file.Path = path.Clean(file.Path)
		if ignored(file) {
			continue
		}
		if err := set.add(ring, file, o); err != nil {
			faults = append(faults, err)
			set.addUnknown(file)
		}
	}
	set.order()
	return set, faults
}

func newSet(o Options) *Set {
	return &Set{folders: o.Folders, values: map[Location]Value{}, versions: map[Location]string{}, refused: map[Location]refusal{}, references: map[Location]held{}}
}

// order puts the files of keys in their order of precedence.
func (s *Set) order() {
	slices.SortStableFunc(s.keyed, func(a, b string) int { // override first, then the later folder
		return cmp.Or(strings.Compare(path.Base(b), path.Base(a)), slices.Index(s.folders, path.Dir(b))-slices.Index(s.folders, path.Dir(a)))
	})
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
func (f File) isKeyed() bool {
	base := path.Base(f.Path)
	return f.Keyed || (base == baseOverride || base == baseSecrets) && path.Base(path.Dir(f.Path)) != "secrets"
}

func (s *Set) add(ring *Keyring, file File, o Options) error {
	doc, err := parse(file)
	if err != nil {
		return err
	}
	if doc == nil {
		return s.addPlain(file, o)
	}
	if err := doc.open(ring); err != nil {
		return err
	}
	switch {
	case file.isKeyed() && doc.sealed && doc.format == formatBinary:
		s.keyed, s.opaque = append(s.keyed, file.Path), append(s.opaque, file.Path)
	case file.isKeyed():
		entries, err := doc.entries()
		if err != nil {
			return err
		}
		return s.addKeys(file, entries, o)
	case isReadable(doc) && !o.AllowPlaintext:
		return encryptsNothing(file.Path)
	case doc.sealed && !isEmpty(doc):
		s.values[Location{File: file.Path}] = sealed()
	default:
		content, err := doc.content()
		if err != nil {
			return err
		}
		addWhole(s, file, content)
	}
	return nil
}

// addWhole adds the content of a whole file.
func addWhole(s *Set, file File, content []byte) {
	at := Location{File: file.Path}
	if len(content) == 0 {
		s.refused[at] = refusal{fault.Place{File: file.Path}, emptySecret}
		return
	}
	s.values[at] = NewValue(content)
}

const emptySecret = "is empty, and Swarm does not accept empty secrets"

// addUnknown adds a file that cannot be read.
func (s *Set) addUnknown(file File) {
	if !file.isKeyed() {
		s.values[Location{File: file.Path}] = sealed()
		return
	}
	s.opaque = append(s.opaque, file.Path)
	if !slices.Contains(s.keyed, file.Path) {
		s.keyed = append(s.keyed, file.Path)
	}
}

// addPlain adds an unencrypted file.
func (s *Set) addPlain(file File, o Options) error {
	if !o.AllowPlaintext {
		return notEncrypted(file.Path)
	}
	if !file.isKeyed() {
		s.values[Location{File: file.Path}] = NewValue(slices.Clone(file.Data))
		return nil
	}
	entries, err := plainEntries(file.Path, file.Data, entryPlain)
	if err != nil {
		return err
	}
	return s.addKeys(file, entries, o)
}

// addKeys sorts the entries of a file of keys into values and versions.
func (s *Set) addKeys(file File, entries []entry, o Options) error {
	s.keyed = append(s.keyed, file.Path)
	slices.SortStableFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	var faults []error
	lines := sync.OnceValue(func() map[string]int {
		var keys []string
		for _, one := range entries {
			keys = append(keys, one.key)
		}
		return keyLines(file.Data, keys...)
	})
	for index, one := range entries {
		at := Location{file.Path, one.key}
		place := func() fault.Place { return fault.Place{File: file.Path, Line: lines()[one.key]} }
		name, isVersion := versionName(one.key)
		switch {
		case index > 0 && entries[index-1].key == one.key:
			faults = append(faults, fault.New(place(), "keep one of them", "the file has the key %q twice", oneline.Cut(one.key, 80)))
		case isVersion:
			faults = append(faults, s.addVersion(place, Location{file.Path, name}, one))
		case (one.state == entryOpen || one.state == entryPlain) && isReference(one.content):
			faults = append(faults, s.addReference(place(), at, one.content))
		case one.state == entryNested:
			s.refused[at] = refusal{place(), "has a mapping or a list as its value, not a text"}
		case one.state != entrySealed && len(one.content) == 0: // SOPS does not encrypt empty values, so any committer can add one
			s.refused[at] = refusal{place(), emptySecret}
		case one.state == entryPlain && !o.AllowPlaintext:
			s.refused[at] = refusal{place(), "is not encrypted in the file"}
		case one.state == entrySealed:
			s.values[at] = sealed()
		default:
			s.values[at] = NewValue(one.content)
			continue
		}
		clear(one.content)
	}
	return errors.Join(faults...)
}

// Lookup returns the value of a secret. name is its key in the compose file, file the
// repository path of its `file:`, or "". Lookup uses the first of: the whole file
// <file>.enc, the whole file <file>, both in the same place of an earlier folder, the key
// name in secrets.override.enc or secrets.enc, the base name of file as a key in these.
// The Value may be unknown.
func (s *Set) Lookup(name, file string) (Value, bool) {
	at, found := s.Find(name, file)
	if value, ok := s.values[at]; ok {
		return value, true
	}
	return sealed(), found
}

// Find returns the place of Lookup's value, which may be unknown. A file that is encrypted as a
// whole, and was read without a key, may have any key.
func (s *Set) Find(name, file string) (Location, bool) {
	for _, at := range s.places(name, file) {
		if _, ok := s.values[at]; ok {
			return at, true
		}
	}
	if len(s.opaque) == 0 {
		return Location{}, false
	}
	return Location{File: s.opaque[len(s.opaque)-1], Key: name}, true
}

// places lists where Lookup looks for a value.
func (s *Set) places(name, file string) []Location {
	var all []Location
	for _, whole := range s.wholes(file) {
		all = append(all, Location{File: whole})
	}
	for _, key := range lookupKeys(name, file) {
		for _, keys := range s.keyed {
			all = append(all, Location{keys, key})
		}
	}
	return all
}

// wholes lists the whole files that can have the value of a secret's `file:`: of a file in the
// last folder also those in the same place of the earlier ones.
func (s *Set) wholes(file string) []string {
	if file == "" {
		return nil
	}
	file = path.Clean(file)
	all := []string{file + ".enc", file}
	if len(s.folders) < 2 {
		return all
	}
	earlier, last := s.folders[:len(s.folders)-1], s.folders[len(s.folders)-1]
	if below, inside := strings.CutPrefix(file, last+"/"); inside {
		for _, folder := range slices.Backward(earlier) {
			all = append(all, path.Join(folder, below+".enc"), path.Join(folder, below))
		}
	}
	return all
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
	for _, at := range s.places(name, file) {
		refused, ok := s.refused[at]
		switch {
		case ok && at.Key == "":
			return fault.New(refused.place, "write the value into it with sops", "the secret %q has no value: its file %s", name, refused.why)
		case ok:
			return fault.New(refused.place, "write it as a text, and check that rules such as encrypted_regex in .sops.yaml include it",
				"the secret %q has no value: its key %s", name, refused.why)
		}
	}
	var places []string
	if file != "" {
		file = path.Clean(file)
	}
	places = append(places, s.wholes(file)...)
	for _, key := range lookupKeys(name, file) {
		places = append(places, "the key "+key+" in "+baseOverride+" and "+baseSecrets)
	}
	return fault.New(fault.Place{File: file}, "add it with sops to one of these places",
		"the secret %q has no value: looked for %s", name, strings.Join(places, ", "))
}

// Opaque lists the files that are encrypted as a whole, so that their keys and versions
// are unknown. It is empty after Open.
func (s *Set) Opaque() []string { return s.opaque }

// Wipe zeroes all values of the set, including their copies.
func (s *Set) Wipe() {
	for _, value := range s.values {
		value.Wipe()
	}
}
