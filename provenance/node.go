package provenance

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

const (
	versionPrefix = "SV_"
	autoVersion   = "auto"
)

// reading is what a node's files say of one secret.
type reading struct {
	variable string // the SV_ variable in its name
	version  string
	sealed   string // the digest of the version's ciphertext, where no key opens it
	object   string // the name in Swarm; "" where the version is not known
	external bool
	users    []string // the services that have it, by their names in Swarm
	stacks   []string // that have it; nil on a node with one stack

	file  *secretFile        // that holds the value; nil for none
	key   string             // in the file; "" for the whole file
	vault *secrets.Reference // where the value is in Vault; nil for a value in the file
	print string             // of the value; "" where it is not known
}

// readings gives the secrets of the node in dir, by their key in the compose files; nil
// where there is no such folder.
func (f *files) readings(dir string) map[string]*reading {
	if folder, err := fs.Stat(f.FS, dir); err != nil || !folder.IsDir() {
		return nil
	}
	all := map[string]*reading{}
	stacks := manifests.Past(f.FS, path.Base(path.Join(dir, "../..")), path.Base(dir))
	for _, stack := range stacks {
		of := f.stackReadings(stack)
		for _, key := range slices.Sorted(maps.Keys(of)) {
			if len(stacks) > 1 {
				of[key].stacks = []string{stack.Stack}
			}
			join(all, stack.Stack, key, of[key])
		}
	}
	return all
}

// join adds a secret of one of several stacks. The one that stacks share is there once, by its
// definition; others of the same key are told apart by their stack.
func join(all map[string]*reading, stack, key string, one *reading) {
	before, twice := all[key]
	switch {
	case !twice:
		all[key] = one
	case before.object == one.object && one.object != "", before.shares(one):
		users, stacks := append(before.users, one.users...), append(before.stacks, one.stacks...)
		if before.external && !one.external {
			all[key] = one
		}
		all[key].users, all[key].stacks = users, stacks
	default:
		all[stack+"/"+key] = one
	}
}

// shares reports whether two secrets have their value and their version in the same place.
func (r *reading) shares(other *reading) bool {
	return r.file != nil && r.file == other.file && r.key == other.key && r.variable == other.variable && r.version == other.version
}

// syncedWith reports whether a sync of a stack brings the secret; "" is the only stack of a node.
func (r *reading) syncedWith(stack string) bool {
	return stack == "" || r.stacks == nil || slices.Contains(r.stacks, stack)
}

// stackReadings gives the secrets of one stack.
func (f *files) stackReadings(stack *manifests.Node) map[string]*reading {
	opened := map[string]*secretFile{}
	var sets []*secrets.Set
	for _, name := range stack.SecretFiles {
		opened[name] = f.secretFile(name)
		sets = append(sets, opened[name].set)
	}
	set := secrets.Join(sets, secrets.Options{Folders: stack.Folders()})
	defer set.Wipe()
	sealed := set.SealedVersions()
	all := map[string]*reading{}
	for key, found := range compose.Definitions(stack, set) {
		made := &reading{variable: found.Variable, version: found.Version, object: found.Name, external: found.External, users: found.Users}
		all[key] = made
		if at, held := set.Find(key, found.File); held && !made.external {
			made.file, made.key = opened[at.File], at.Key
			value, _ := set.Lookup(key, found.File)
			made.print = value.Fingerprint(f.history.run)
			if reference, _, is := set.Reference(key, found.File); is {
				made.vault, made.print = &reference, reference.String() // a reference is not a secret
			}
		}
		if made.vault == nil && slices.Contains(sealed, made.variable) {
			file, _ := set.VersionFile(made.variable)
			ciphers := opened[file].ciphers
			made.sealed = ciphers[made.variable] + ciphers[strings.TrimPrefix(made.variable, versionPrefix)+"_VERSION"]
			made.version, made.object = "", ""
		}
	}
	return all
}

// secretFile is a SOPS file, or one that should be.
type secretFile struct {
	ciphers map[string]string // digests of ciphertext, by key; none for plaintext
	set     *secrets.Set      // empty for a broken file
}

// secretFile reads a file.
func (f *files) secretFile(name string) *secretFile {
	content, _ := f.read(name)
	id := name + "\x00" + string(content)
	if f.history.secrets[id] == nil {
		f.history.secrets[id] = f.history.open(secrets.File{Path: name, Data: content})
	}
	return f.history.secrets[id]
}

// open reads a file, with the keys if they open it. Plaintext counts: it was a value.
func (h *history) open(file secrets.File) *secretFile {
	options := secrets.Options{AllowPlaintext: true}
	if ciphers, err := secrets.Ciphertexts(file); err == nil {
		if h.keys != nil {
			if set, err := h.keys.Open([]secrets.File{file}, options); err == nil {
				return &secretFile{ciphers, set}
			}
		}
		if set, err := secrets.Seal([]secrets.File{file}, options); err == nil {
			return &secretFile{ciphers, set}
		}
	}
	return &secretFile{set: &secrets.Set{}}
}
