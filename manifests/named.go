package manifests

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// Named are the files of a stack that a user names one by one, as deployment.sh took them:
// paths in the tree of files, in order. No config.yml belongs to them.
type Named struct {
	Stack string // the name of the stack
	Node  string // what the node is called; "" for no name
	Dir   string // the folder of the first compose file

	Compose   []string
	Variables []string // like node.env; each is read over the ones before
	Project   []string // like project.env; the last writer of a name wins
	Overrides string   // a plain file of versions, read over everything else; "" for none

	Lenient  bool   // an unset variable is empty, as in docker stack deploy
	BindRoot string // where relative bind mounts are
	Resolve  string // as images.resolve of config.yml
}

// LoadNamed reads named files, and gives the node beside its faults. Other assignments of
// Overrides than versions are secrets: they are in secrets by name, and are not variables.
func LoadNamed(tree fs.FS, named Named) (node *Node, secrets map[string]Variable, err error) {
	interpolation := Strict
	if named.Lenient {
		interpolation = Lenient
	}
	l := &loader{repository: &repository{under: tree, dir: named.Dir}}
	l.node = &Node{
		Name: named.Node, Stack: named.Stack, Dir: named.Dir, ComposeFiles: named.Compose, FS: l.repository,
		VariableFiles: named.Variables, Variables: map[string]Variable{},
		Config: &Config{
			Interpolation: interpolation, AllowPlaintextSecrets: true,
			Base: Base{BindRoot: named.BindRoot}, Images: Images{Resolve: named.Resolve},
		},
	}
	for name, value := range map[string]string{"NODE_NAME": named.Node, "STACK_NAME": named.Stack} {
		if value != "" {
			l.node.Variables[name] = Variable{Value: value, Given: true}
		}
	}
	for _, file := range named.Variables {
		maps.Copy(l.node.Variables, shellVariables(l, file, l.content(file)))
	}
	secrets = namedOverrides(l, named.Overrides)
	l.node.Variables[settingsVariable] = Variable{Value: mergedSettings, Place: fault.Place{File: path.Join(named.Dir, mergedSettings)}}
	var layers [][]setting
	for _, file := range named.Project {
		layers = append(layers, l.readSettings(file, lines(l.content(file))))
	}
	l.project = merge(layers...)
	l.repository.derived = deriveFiles(l, l.project)
	return l.node, secrets, l.faults.err()
}

// content reads a file that a user named.
func (l *loader) content(file string) []byte {
	content, err := fs.ReadFile(l.repository, file)
	if errors.Is(err, fs.ErrNotExist) {
		l.faults.add(fault.Place{File: file}, "check the name", "the file is missing")
	} else if err != nil {
		l.unreadable(file, fault.Place{File: file}, err)
	}
	return content
}

// namedOverrides reads a plain file of versions over the variables, as deployment.sh sourced
// it at the end. It gives the other assignments.
func namedOverrides(l *loader, file string) map[string]Variable {
	if file == "" {
		return nil
	}
	assigned := shellVariables(l, file, l.content(file))
	others := map[string]Variable{}
	versions := map[string]Variable{}
	for _, key := range slices.Sorted(maps.Keys(assigned)) {
		name, v := versionVariable(key), assigned[key]
		if key == "TAG" || strings.HasPrefix(key, "TAG_") {
			name = key
		}
		before, twice := versions[name]
		switch {
		case name == "":
			others[key] = v
		case twice && before.Value != v.Value:
			l.faults.add(v.Place, "keep one of the two", "%s differs from the version on line %d", key, before.Place.Line)
		default:
			versions[name] = v
		}
	}
	maps.Copy(l.node.Variables, versions)
	return others
}
