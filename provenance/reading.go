package provenance

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

const autoKey = "auto_version_key"

// nodeState is what a node's files say of its secrets. States are compared by their
// readings.
type nodeState struct {
	readings map[string]*reading // by the secret's key in the compose files
}

// reading is what the files say of one secret.
type reading struct {
	version
	external bool
	file     *contents // where its value stands; nil: nowhere
	key      string    // in the file; "" for the whole file
}

// cipher is the digest of the value's ciphertext; "" where it stands in plaintext.
func (r *reading) cipher() string {
	if r.file == nil {
		return ""
	}
	if cipher, ok := r.file.ciphers[r.key]; ok {
		return cipher
	}
	return r.file.ciphers[""] // a file of keys that cannot be seen
}

func (r *reading) print() string {
	if r.file == nil {
		return ""
	}
	return r.file.prints[r.key]
}

// contents is what can be told of one file of secrets.
type contents struct {
	path     string
	ciphers  map[string]string // digests of ciphertext, by key
	prints   map[string]string // digests of values, by key, keyed for this run
	names    []string          // of values
	versions map[string]string
	sealed   map[string]string // versions that no key opens, and the digest of their ciphertext
	opaque   bool              // its keys cannot be seen
	broken   bool
}

// reader makes states of snapshots.
type reader struct {
	store *store
	keys  *secrets.Keyring
	run   []byte // the key of this run's digests

	composes map[plumbing.Hash]*composeFile
	configs  map[plumbing.Hash][]nodeConfig
	files    map[fileID]*contents
	states   map[folderID][]remembered
	derived  map[string]string
}

type fileID struct {
	path string
	hash plumbing.Hash
}

type folderID struct {
	dir  string
	tree plumbing.Hash
}

// remembered is a state, and what it depends on besides the node's folder.
type remembered struct {
	state *nodeState
	noted map[string]plumbing.Hash
}

func newReader(s *store, keys *secrets.Keyring, run []byte) *reader {
	return &reader{
		store: s, keys: keys, run: run,
		composes: map[plumbing.Hash]*composeFile{}, configs: map[plumbing.Hash][]nodeConfig{},
		files: map[fileID]*contents{}, states: map[folderID][]remembered{}, derived: map[string]string{},
	}
}

// state reads a node's folder as of a snapshot; nil where there is none.
func (r *reader) state(s *snapshot, dir string) *nodeState {
	s.noted = nil
	folder, ok := s.find(dir)
	if !ok || folder.Mode != filemode.Dir {
		return nil
	}
	id := folderID{dir, folder.Hash}
	for _, one := range r.states[id] {
		if s.holds(one.noted) {
			return one.state
		}
	}
	s.within, s.noted = dir, map[string]plumbing.Hash{}
	made := remembered{r.read(s, dir), s.noted}
	s.noted = nil
	r.states[id] = append(r.states[id], made)
	return made.state
}

// holds tells whether all that was noted stands there still.
func (s *snapshot) holds(noted map[string]plumbing.Hash) bool {
	for name, hash := range noted {
		if found, _ := s.find(name); found.Hash != hash {
			return false
		}
	}
	return true
}

func (r *reader) read(s *snapshot, dir string) *nodeState {
	v := &variables{values: map[string]string{}, sealed: map[string]string{}}
	outer := map[string]manifests.Variable{}
	for _, name := range []string{"node.env", "secrets.override.env"} {
		if data, _, ok := s.read(path.Join(dir, name)); ok {
			maps.Copy(outer, manifests.Assignments(name, data, outer))
		}
	}
	for name, variable := range outer {
		v.values[name] = variable.Value
	}
	keyed, whole := r.secretFiles(s, dir)
	for _, one := range slices.Backward(keyed) { // the first has precedence
		maps.Copy(v.values, one.versions)
		for name, cipher := range one.sealed {
			v.sealed[name] = cipher
			delete(v.values, name)
		}
		for name := range one.versions {
			delete(v.sealed, name)
		}
	}
	config := r.config(s, dir)
	found := &nodeState{readings: map[string]*reading{}}
	for key, one := range r.definitions(s, composePaths(s, dir, config), dir, v) {
		reading := &reading{version: v.version(key, config.Stack, one), external: one.external}
		if !one.external {
			file := ""
			if one.file != "" {
				file = path.Join(one.dir, v.replace(one.file))
			}
			reading.file, reading.key = locate(keyed, whole, key, file)
		}
		if reading.text == autoVersion && reading.variable != "" {
			r.derive(s, dir, key, reading, one, v)
		}
		found.readings[key] = reading
	}
	return found
}

// secretFiles reads the node's files of keys, the first has precedence, and its
// whole files by path.
func (r *reader) secretFiles(s *snapshot, dir string) (keyed []*contents, whole map[string]*contents) {
	for _, name := range []string{"secrets.override.enc", "secrets.enc"} {
		if one := r.file(s, path.Join(dir, name), true); one != nil {
			keyed = append(keyed, one)
		}
	}
	whole = map[string]*contents{}
	folder := path.Join(dir, "secrets")
	for _, name := range s.names(folder) {
		if one := r.file(s, path.Join(folder, name), false); one != nil && !strings.HasPrefix(name, ".git") {
			whole[one.path] = one
		}
	}
	return keyed, whole
}

// locate finds where a secret takes its value from, in the order of secrets.Set.
func locate(keyed []*contents, whole map[string]*contents, key, file string) (*contents, string) {
	for _, name := range []string{file + ".enc", file} {
		if one, ok := whole[name]; ok && file != "" {
			return one, ""
		}
	}
	keys := []string{key}
	if base := path.Base(file); file != "" && base != key {
		keys = append(keys, base)
	}
	for _, key := range keys {
		for _, one := range keyed {
			if key != autoKey && slices.Contains(one.names, key) {
				return one, key
			}
		}
	}
	for _, one := range keyed {
		if one.opaque {
			return one, key
		}
	}
	return nil, ""
}

// file reads a file of secrets; nil where there is none.
func (r *reader) file(s *snapshot, name string, isKeyed bool) *contents {
	entry, ok := s.find(name)
	if !ok || !entry.Mode.IsFile() {
		return nil
	}
	id := fileID{name, entry.Hash}
	if r.files[id] == nil {
		r.files[id] = r.contents(secrets.File{Path: name, Data: s.store.blob(entry.Hash)}, isKeyed)
	}
	return r.files[id]
}

// contents reads a file of secrets, with the keys where they open it. One that
// stands in plaintext counts: this is about the past.
func (r *reader) contents(file secrets.File, isKeyed bool) *contents {
	c := &contents{path: file.Path, prints: map[string]string{}, sealed: map[string]string{}}
	var err error
	if c.ciphers, err = secrets.Ciphertexts(file); err != nil {
		c.broken = true
		return c
	}
	set, err := r.open(file)
	if err != nil {
		c.broken = true
		return c
	}
	defer set.Wipe()
	c.versions, c.opaque = set.Versions(), len(set.Opaque()) > 0
	for _, name := range set.SealedVersions() {
		c.sealed[name] = c.ciphers[name] + c.ciphers[strings.TrimPrefix(name, versionPrefix)+"_VERSION"]
	}
	if !isKeyed {
		if value, ok := set.Lookup("", file.Path); ok {
			c.prints[""] = value.Fingerprint(r.run)
		}
		return c
	}
	c.names = set.Names()
	for _, name := range c.names {
		if value, ok := set.Lookup(name, ""); ok {
			c.prints[name] = value.Fingerprint(r.run)
		}
	}
	return c
}

func (r *reader) open(files ...secrets.File) (*secrets.Set, error) {
	if r.keys != nil {
		if set, err := r.keys.Open(files, secrets.Options{AllowPlaintext: true}); err == nil {
			return set, nil
		}
	}
	return secrets.Seal(files, secrets.Options{AllowPlaintext: true})
}

// derive gives an `auto` version the name that it has in Swarm, where the keys
// open both the value and what the name is derived with.
func (r *reader) derive(s *snapshot, dir, key string, found *reading, from definition, v *variables) {
	id, value := "", found.print()
	var files []secrets.File
	for _, name := range []string{"secrets.override.enc", "secrets.enc"} {
		if data, hash, ok := s.read(path.Join(dir, name)); ok {
			files = append(files, secrets.File{Path: path.Join(dir, name), Data: data})
			id += hash.String()
		}
	}
	found.object = ""
	if value == "" || r.keys == nil {
		return
	}
	if found.key == "" {
		data, _, _ := s.read(found.file.path)
		files = append(files, secrets.File{Path: found.file.path, Data: data})
	}
	id += key + value
	if _, known := r.derived[id]; !known {
		r.derived[id] = r.deriveFrom(files, key, found)
	}
	if text := r.derived[id]; text != "" {
		values := maps.Clone(v.values)
		values[found.variable] = text
		found.object = (&variables{values: values}).replace(from.name)
	}
}

func (r *reader) deriveFrom(files []secrets.File, key string, found *reading) string {
	set, err := r.open(files...)
	if err != nil {
		return ""
	}
	defer set.Wipe()
	name, file := found.key, ""
	if name == "" {
		name, file = key, found.file.path
	}
	value, ok := set.Lookup(name, file)
	if !ok {
		return ""
	}
	text, err := set.AutoVersion(key, value)
	if err != nil {
		return "" // no key to derive it with: the sync says so
	}
	return text
}
