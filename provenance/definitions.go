package provenance

import (
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v3"
)

const (
	mainCompose = "docker-compose.yml"
	maxIncludes = 20 // how deep includes may lead
)

// definition is a secret as a compose file defines it, before its variables are
// replaced.
type definition struct {
	name, file string
	dir        string // that file is relative to
	external   bool
}

// composeFile is what counts of a compose file.
type composeFile struct {
	secrets  map[string]definition
	includes []include
}

type include struct {
	paths []string
	dir   string // "" for that of the first path
}

// parseCompose reads what can be read of a compose file. Those of the past need
// not be right.
func parseCompose(data []byte) *composeFile {
	var document struct {
		Secrets map[string]yaml.Node `yaml:"secrets"`
		Include []yaml.Node          `yaml:"include"`
	}
	_ = yaml.Unmarshal(data, &document) // what it does not understand it leaves out
	file := &composeFile{secrets: map[string]definition{}}
	for key, node := range document.Secrets {
		var body struct {
			Name     string    `yaml:"name"`
			File     string    `yaml:"file"`
			External yaml.Node `yaml:"external"`
		}
		_ = node.Decode(&body)
		found := definition{name: body.Name, file: body.File}
		var elsewhere struct {
			Name string `yaml:"name"`
		}
		switch body.External.Kind {
		case yaml.ScalarNode:
			found.external = body.External.Value == "true"
		case yaml.MappingNode:
			found.external = true
			if body.External.Decode(&elsewhere) == nil && found.name == "" {
				found.name = elsewhere.Name
			}
		case yaml.DocumentNode, yaml.SequenceNode, yaml.AliasNode:
		}
		if found.external && found.name == "" {
			found.name = key
		}
		file.secrets[key] = found
	}
	for _, node := range document.Include {
		file.includes = append(file.includes, parseInclude(node))
	}
	return file
}

func parseInclude(node yaml.Node) include {
	if node.Kind == yaml.ScalarNode {
		return include{paths: []string{node.Value}}
	}
	var body struct {
		Path yaml.Node `yaml:"path"`
		Dir  string    `yaml:"project_directory"`
	}
	_ = node.Decode(&body)
	found := include{dir: body.Dir}
	if body.Path.Kind == yaml.ScalarNode {
		found.paths = []string{body.Path.Value}
	} else {
		_ = body.Path.Decode(&found.paths)
	}
	return found
}

// nodeConfig is what counts of a node's entry in config.yml.
type nodeConfig struct {
	Name         string   `yaml:"name"`
	Stack        string   `yaml:"stack"`
	ComposeFiles []string `yaml:"compose_files"`
}

func parseConfig(data []byte) []nodeConfig {
	var document struct {
		Nodes []nodeConfig `yaml:"nodes"`
	}
	_ = yaml.Unmarshal(data, &document)
	return document.Nodes
}

// composePaths lists a node's compose files in the order they are merged.
func composePaths(s *snapshot, dir string, config nodeConfig) []string {
	var files []string
	for _, name := range config.ComposeFiles {
		files = append(files, path.Join(dir, name))
	}
	if len(files) > 0 {
		return files
	}
	names := s.names(dir)
	for _, name := range []string{mainCompose, "custom.secrets.yml"} {
		if slices.Contains(names, name) {
			files = append(files, path.Join(dir, name))
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if extension := path.Ext(name); strings.HasPrefix(name, "docker-compose-") && (extension == ".yml" || extension == ".yaml") {
			files = append(files, path.Join(dir, name))
		}
	}
	return files
}

// definitions gives the secrets that the files define together: a later one
// replaces an earlier one whole, and a file's own replaces what it includes.
func (r *reader) definitions(s *snapshot, files []string, dir string, v *variables) map[string]definition {
	all := map[string]definition{}
	for _, name := range files {
		r.define(s, all, place{name, dir}, v, 0)
	}
	return all
}

// place is a compose file, and what relative paths in it start from.
type place struct{ file, dir string }

func (r *reader) define(s *snapshot, all map[string]definition, at place, v *variables, depth int) {
	file := r.compose(s, at.file)
	if file == nil || depth > maxIncludes {
		return
	}
	for _, include := range file.includes {
		dir := ""
		for i, name := range include.paths {
			name = path.Join(at.dir, v.replace(name))
			switch {
			case i == 0 && include.dir != "":
				dir = path.Join(at.dir, v.replace(include.dir))
			case i == 0:
				dir = path.Dir(name)
			}
			r.define(s, all, place{name, dir}, v, depth+1)
		}
	}
	for key, found := range file.secrets {
		found.dir = at.dir
		all[key] = found
	}
}

func (r *reader) compose(s *snapshot, name string) *composeFile {
	entry, ok := s.find(name)
	if !ok || !entry.Mode.IsFile() {
		return nil
	}
	if r.composes[entry.Hash] == nil {
		r.composes[entry.Hash] = parseCompose(s.store.blob(entry.Hash))
	}
	return r.composes[entry.Hash]
}

func (r *reader) config(s *snapshot, dir string) nodeConfig {
	name := path.Join(path.Dir(path.Dir(dir)), "config.yml")
	entry, ok := s.find(name)
	if !ok || !entry.Mode.IsFile() {
		return nodeConfig{}
	}
	if _, known := r.configs[entry.Hash]; !known {
		r.configs[entry.Hash] = parseConfig(s.store.blob(entry.Hash))
	}
	for _, node := range r.configs[entry.Hash] {
		if node.Name == path.Base(dir) {
			return node
		}
	}
	return nodeConfig{}
}

const (
	tagPrefix     = "TAG_"
	versionPrefix = "SV_"
	autoVersion   = "auto"
)

// variables answer what a $NAME means, as package compose has it: TAG_ and SV_
// names have defaults.
type variables struct {
	values map[string]string
	sealed map[string]string // versions that no key opens, and the digest of their ciphertext
	asked  map[string]bool
}

func (v *variables) lookup(name string) (string, bool) {
	if v.asked != nil {
		v.asked[name] = true
	}
	value, ok := v.values[name]
	switch {
	case value != "":
		return value, true
	case strings.HasPrefix(name, versionPrefix):
		return "0", true
	case strings.HasPrefix(name, tagPrefix):
		return v.values["TAG"], true
	}
	return value, ok
}

// replace replaces the variables of one text; one that is not well-formed stays.
func (v *variables) replace(text string) string {
	if !strings.Contains(text, "$") {
		return text
	}
	replaced, err := template.SubstituteWithOptions(text, v.lookup, template.WithoutLogging)
	if err != nil {
		return text
	}
	return replaced
}

// version is what makes one version of a secret another object than the next.
type version struct {
	variable string // the SV_ variable in the name
	text     string
	sealed   string // the digest of its ciphertext, where no key opens it
	object   string
}

// version gives the version of a secret of this name.
func (v *variables) version(key, stack string, found definition) version {
	if found.name == "" {
		return version{object: stack + "_" + key}
	}
	asking := &variables{values: v.values, sealed: v.sealed, asked: map[string]bool{}}
	got := version{object: asking.replace(found.name)}
	for name := range asking.asked {
		if strings.HasPrefix(name, versionPrefix) && (got.variable == "" || name < got.variable) {
			got.variable = name
		}
	}
	if got.variable == "" {
		got.text = strings.TrimPrefix(strings.TrimPrefix(got.object, key), ".")
	} else {
		got.text, _ = v.lookup(got.variable)
	}
	if _, known := v.values[got.variable]; !known && v.sealed[got.variable] != "" {
		got.sealed, got.text, got.object = v.sealed[got.variable], "", ""
	}
	return got
}
