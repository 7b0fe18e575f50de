package provenance

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

const (
	tagPrefix     = "TAG_"
	versionPrefix = "SV_"
	autoVersion   = "auto"
	maxIncludes   = 20 // how deep includes of compose files may lead
)

// node is what the files of a node say as of one commit.
type node struct {
	stack     string
	home, dir string // the node's folder, and the stack's
	variables map[string]string
	sealed    map[string]string // versions that no key opens: the digest of their ciphertext
	keyed     []*secretFile     // the SOPS files of keys; the last has precedence
	whole     []*secretFile     // the files of secrets/
	secrets   map[string]*reading
	users     map[string][]string // the services of each secret, by its key
}

// definition is a secret as a compose file defines it.
type definition struct {
	Name, File string
	External   any
}

// readings gives the secrets of the node in dir, by their key in the compose files; nil
// where there is no such folder.
func (f *files) readings(dir string) map[string]*reading {
	if folder, err := fs.Stat(f.FS, dir); err != nil || !folder.IsDir() {
		return nil
	}
	entry := f.entry(dir)
	if len(entry.Stacks) == 0 {
		return f.stackReadings(dir, entry, layer{Name: cmp.Or(entry.Stack, path.Base(dir)), Path: ".", Files: entry.Files})
	}
	all := map[string]*reading{}
	for _, stack := range entry.Stacks {
		stack.Path = cmp.Or(stack.Path, stack.Name)
		of := f.stackReadings(dir, entry, stack)
		for _, key := range slices.Sorted(maps.Keys(of)) {
			join(all, stack.Name, key, of[key])
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
		users := append(before.users, one.users...)
		if before.external && !one.external {
			all[key] = one
		}
		all[key].users = users
	default:
		all[stack+"/"+key] = one
	}
}

// shares reports whether two secrets have their value and their version in the same place.
func (r *reading) shares(other *reading) bool {
	return r.file != nil && r.file == other.file && r.key == other.key && r.variable == other.variable && r.version == other.version
}

// stackReadings gives the secrets of one stack of the node in dir.
func (f *files) stackReadings(dir string, entry entry, stack layer) map[string]*reading {
	n := &node{variables: map[string]string{}, sealed: map[string]string{}, secrets: map[string]*reading{}, users: map[string][]string{}, stack: stack.Name, home: dir, dir: path.Join(dir, stack.Path)}
	settings := map[string]manifests.Variable{}
	for _, name := range n.settingsFiles(entry) {
		content, _ := f.read(name)
		maps.Copy(settings, manifests.Assignments(name, content, settings))
	}
	for name, variable := range settings {
		n.variables[name] = variable.Value
	}
	for _, name := range []string{"secrets.enc", "secrets.override.enc"} {
		for _, folder := range n.folders() {
			n.keyed = append(n.keyed, f.secretFiles(folder, []string{name})...)
		}
	}
	for _, one := range n.keyed {
		for _, name := range one.set.SealedVersions() {
			n.sealed[name] = one.ciphers[name] + one.ciphers[strings.TrimPrefix(name, versionPrefix)+"_VERSION"]
			delete(n.variables, name)
		}
		for name, version := range one.set.Versions() {
			n.variables[name] = version
			delete(n.sealed, name)
		}
	}
	for _, folder := range n.folders() {
		n.whole = append(n.whole, f.secretFiles(path.Join(folder, "secrets"), f.list(path.Join(folder, "secrets")))...)
	}
	for _, name := range f.composeFiles(n.dir, stack.Files) {
		f.define(n, path.Join(n.dir, name), n.dir, 0)
	}
	n.setUsers()
	return n.secrets
}

// folders lists the node's folder and the stack's, if that is another.
func (n *node) folders() []string { return slices.Compact([]string{n.home, n.dir}) }

// settingsFiles lists the files that set variables, in order.
func (n *node) settingsFiles(of entry) (files []string) {
	for i, folder := range n.folders() {
		names := of.variableFiles()
		if i > 0 { // also where config.yml lists others for the node
			names = append([]string{names[0], "node.env"}, names[1:]...)
		}
		for _, name := range names {
			if i == 0 || !strings.Contains(name, "..") {
				files = append(files, path.Join(folder, name))
			}
		}
	}
	for _, folder := range n.folders() {
		files = append(files, path.Join(folder, "secrets.override.env"))
	}
	return files
}

// entry is what config.yml says of a node.
type entry struct {
	Name, Stack, Context string
	Files                []string `yaml:"compose_files"`
	NodeFiles            []string `yaml:"node_files"`
	Stacks               []layer
}

// layer is what config.yml says of one of several stacks.
type layer struct {
	Name, Path string
	Files      []string
}

// entry gives that of the node in dir; without one the defaults hold.
func (f *files) entry(dir string) entry {
	config := decode[struct{ Nodes []entry }](f, path.Join(dir, "../../config.yml"))
	for _, one := range config.Nodes {
		if one.Name == path.Base(dir) {
			return one
		}
	}
	return entry{}
}

// variableFiles lists the files that set the node's variables, in order.
func (e entry) variableFiles() []string {
	files := []string{e.Context + ".env"}
	if len(e.NodeFiles) > 0 {
		return append(files, e.NodeFiles...)
	}
	return append(files, "node.env")
}

// composeFiles lists the compose files of a folder in their order: those that config.yml lists, or
// those with the default names.
func (f *files) composeFiles(dir string, listed []string) (names []string) {
	if len(listed) > 0 {
		return listed
	}
	for _, pattern := range []string{"docker-compose.yml", "custom.secrets.yml", "docker-compose-*.y*ml"} {
		for _, name := range f.list(dir) {
			if matched, _ := path.Match(pattern, name); matched {
				names = append(names, name)
			}
		}
	}
	return names
}

// define adds the secrets of a compose file, whose relative paths start from dir, to
// those of the files before it and of those that it includes.
func (f *files) define(n *node, name, dir string, depth int) {
	file := decode[composeFile](f, name)
	if depth == maxIncludes {
		return
	}
	for _, one := range file.Include { // a path, or a mapping with one or more
		long, _ := one.(map[string]any)
		if long == nil {
			long = map[string]any{"path": one}
		}
		paths, ok := long["path"].([]any)
		if !ok {
			paths = []any{long["path"]}
		}
		from, _ := long["project_directory"].(string)
		from = path.Join(dir, n.replace(from))
		for i, one := range paths {
			included := path.Join(dir, n.replace(fmt.Sprint(one)))
			if long["project_directory"] == nil && i == 0 {
				from = path.Dir(included)
			}
			f.define(n, included, from, depth+1)
		}
	}
	f.use(n, name, dir)
	for key, found := range file.Secrets {
		n.secrets[key] = n.reading(key, found, dir, f.history.run)
	}
}

// lookup gives the value of a variable. An empty TAG_ or SV_ variable counts as unset.
func (n *node) lookup(name string) (string, bool) {
	value, ok := n.variables[name]
	if value == "" && (strings.HasPrefix(name, versionPrefix) || strings.HasPrefix(name, tagPrefix)) {
		return "", false
	}
	return value, ok
}

// replace replaces the variables in a text, unless it is malformed.
func (n *node) replace(text string) string {
	replaced, err := compose.Substitute(text, n.lookup)
	if err != nil {
		return text
	}
	return replaced
}

// reading is what a node's files say of one secret.
type reading struct {
	variable string // the SV_ variable in its name
	version  string
	sealed   string // the digest of the version's ciphertext, where no key opens it
	object   string // the name in Swarm; "" where the version is not known
	external bool
	users    []string // the services that have it, by their names in Swarm

	file  *secretFile        // that holds the value; nil for none
	key   string             // in the file; "" for the whole file
	vault *secrets.Reference // where the value is in Vault; nil for a value in the file
	print string             // of the value; "" where it is not known
}

// reading reads the name, the version and the value of a secret. File is relative to dir.
func (n *node) reading(key string, from definition, dir string, run []byte) *reading {
	long, isLong := from.External.(map[string]any)
	made := &reading{external: isLong || fmt.Sprint(from.External) == "true"}
	if elsewhere, ok := long["name"].(string); ok && from.Name == "" {
		from.Name = elsewhere
	}
	if from.Name == "" && made.external {
		from.Name = key
	}
	var value secrets.Value
	if !made.external {
		value = n.locate(made, key, from.File, dir)
		made.print = value.Fingerprint(run)
		if made.vault != nil {
			made.print = made.vault.String() // a reference is not a secret
		}
	}
	if from.Name == "" {
		made.object = n.stack + "_" + key
		return made
	}
	made.object = n.replace(from.Name)
	made.variable, made.version = compose.VersionIn(from.Name, n.lookup)
	if made.vault != nil && made.variable != "" {
		n.vaultVersion(made, from.Name)
		return made
	}
	if made.variable == "" {
		made.version = strings.TrimPrefix(strings.TrimPrefix(made.object, key), ".")
		return made
	}
	if made.sealed = n.sealed[made.variable]; made.sealed != "" {
		made.version = ""
	}
	if made.sealed != "" || made.version == autoVersion {
		made.object = ""
	}
	for _, one := range n.keyed {
		if derived, err := one.set.AutoVersion(key, value); err == nil && made.version == autoVersion {
			with := &node{variables: maps.Clone(n.variables)}
			with.variables[made.variable] = derived
			made.object = with.replace(from.Name)
		}
	}
	return made
}

// vaultVersion names a secret by its version in Vault. That of @auto is not in git.
func (n *node) vaultVersion(made *reading, name string) {
	made.version, made.object = autoVersion, ""
	if made.vault.Auto {
		return
	}
	made.version = strconv.Itoa(made.vault.Version)
	with := &node{variables: maps.Clone(n.variables)}
	with.variables[made.variable] = made.version
	made.object = with.replace(name)
}

// locate finds the value of a secret, in the order of secrets.Set.
func (n *node) locate(made *reading, key, file, dir string) secrets.Value {
	if file != "" {
		file = path.Join(dir, n.replace(file))
	}
	shared := file // in the node's folder
	if below, inside := strings.CutPrefix(file, n.dir+"/"); inside {
		shared = path.Join(n.home, below)
	}
	for _, try := range []struct {
		in              []*secretFile
		key, file, name string
	}{{n.whole, "", file, ""}, {n.whole, "", shared, ""}, {n.keyed, key, "", key}, {n.keyed, "", file, path.Base(file)}} {
		for _, one := range slices.Backward(try.in) {
			if value, ok := one.set.Lookup(try.key, try.file); ok {
				made.file, made.key = one, try.name
				if reference, _, is := one.set.Reference(try.key, try.file); is {
					made.vault = &reference
				}
				return value
			}
		}
	}
	return secrets.Value{}
}

// secretFile is a SOPS file, or one that should be.
type secretFile struct {
	ciphers map[string]string // digests of ciphertext, by key; none for plaintext
	set     *secrets.Set      // empty for a broken file
}

// secretFiles reads those files of a folder that are there.
func (f *files) secretFiles(dir string, names []string) []*secretFile {
	var all []*secretFile
	for _, name := range names {
		name = path.Join(dir, name)
		content, ok := f.read(name)
		if !ok || strings.HasPrefix(path.Base(name), ".git") {
			continue
		}
		id := name + "\x00" + string(content)
		if f.history.secrets[id] == nil {
			f.history.secrets[id] = f.history.open(secrets.File{Path: name, Data: content})
		}
		all = append(all, f.history.secrets[id])
	}
	return all
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
