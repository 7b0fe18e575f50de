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
	variables map[string]string
	sealed    map[string]string // versions that no key opens: the digest of their ciphertext
	keyed     []*secretFile     // the SOPS files of keys; the last has precedence
	whole     []*secretFile     // the files of secrets/
	secrets   map[string]*reading
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
	n := &node{variables: map[string]string{}, sealed: map[string]string{}, secrets: map[string]*reading{}}
	settings := map[string]manifests.Variable{}
	entry := f.entry(dir)
	for _, name := range append(entry.variableFiles(), "secrets.override.env") {
		content, _ := f.read(path.Join(dir, name))
		maps.Copy(settings, manifests.Assignments(name, content, settings))
	}
	for name, variable := range settings {
		n.variables[name] = variable.Value
	}
	n.keyed = f.secretFiles(dir, []string{"secrets.enc", "secrets.override.enc"})
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
	n.whole = f.secretFiles(path.Join(dir, "secrets"), f.list(path.Join(dir, "secrets")))
	n.stack = cmp.Or(entry.Stack, path.Base(dir))
	for _, name := range f.composeFiles(dir, entry) {
		f.define(n, path.Join(dir, name), dir, 0)
	}
	return n.secrets
}

// entry is what config.yml says of a node.
type entry struct {
	Name, Stack, Context string
	Files                []string `yaml:"compose_files"`
	NodeFiles            []string `yaml:"node_files"`
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

// composeFiles lists the node's compose files in their order.
func (f *files) composeFiles(dir string, of entry) (names []string) {
	if len(of.Files) > 0 {
		return of.Files
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
	file := decode[struct {
		Secrets map[string]definition
		Include []any
	}](f, name)
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
	for _, try := range []struct {
		in              []*secretFile
		key, file, name string
	}{{n.whole, "", file, ""}, {n.keyed, key, "", key}, {n.keyed, "", file, path.Base(file)}} {
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
