package manifests

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

// Load reads a node of an environment that has one stack. It continues after a fault and
// returns all faults joined. Each is a *fault.Error.
func Load(fsys fs.FS, environment, node string) (*Node, error) {
	return LoadStack(fsys, environment, node, "")
}

// LoadStack reads one stack of a node as Load does. The empty name is that of a node's only
// stack: of a node with several, it is a fault that lists them.
func LoadStack(fsys fs.FS, environment, node, stack string) (*Node, error) {
	return load(fsys, selection{environment, node, stack}, nil)
}

// LoadStack reads one stack of the node of the judges as LoadStack does, by the config.yml
// that is in force.
func (j Judges) LoadStack(fsys fs.FS, environment, stack string) (*Node, error) {
	return load(fsys, selection{environment, j.Node, stack}, j.InForce)
}

func load(fsys fs.FS, of selection, judged func(*Config) *Config) (*Node, error) {
	loaded, err := inspect(fsys, of, judged)
	if err != nil {
		return nil, err
	}
	return loaded, nil
}

// Inspect reads a node as Load does, and returns it beside its faults as far as it can be
// read, or nil. It is for finding more faults, never for applying it.
func Inspect(fsys fs.FS, environment, node string) (*Node, error) {
	return InspectStack(fsys, environment, node, "")
}

// InspectStack reads one stack of a node as Inspect does.
func InspectStack(fsys fs.FS, environment, node, stack string) (*Node, error) {
	return inspect(fsys, selection{environment, node, stack}, nil)
}

func inspect(fsys fs.FS, of selection, judged func(*Config) *Config) (*Node, error) {
	l := &loader{repository: &repository{under: fsys}}
	config := l.config(of.environment)
	if config == nil {
		return nil, l.faults.err()
	}
	if _, ok := config.Node(of.node); !ok {
		if len(l.faults) == 0 { // otherwise an unreadable entry may be the node
			l.faults.add(config.Place("nodes"), oneOf(of.node, nodeNames(config)), "environment %s has no node %q", of.environment, of.node)
		}
		return nil, l.faults.err()
	}
	chosen, ok := l.choose(config, of)
	if !ok {
		return nil, l.faults.err()
	}
	if judged != nil {
		config = judged(config)
	}
	if !l.open(configOf(config, chosen), chosen, of.environment) {
		return nil, l.faults.err()
	}
	l.composeFiles()
	l.secretFiles()
	l.variables()
	l.settings()
	l.checks()
	l.migrations()
	return l.node, l.faults.err()
}

// open begins the node of a stack, whose folders must exist.
func (l *loader) open(config *Config, chosen selected, environment string) bool {
	l.chosen = chosen
	home := path.Join("environments", environment, "nodes", chosen.entry.Name)
	l.node = &Node{
		Environment: environment, Name: chosen.entry.Name, Stack: chosen.stack.Name, Config: config, FS: l.repository,
		Home: home, Dir: path.Join(home, chosen.stack.Path), Variables: map[string]Variable{},
	}
	return l.enter()
}

// LoadConfig reads and validates an environment's config.yml.
func LoadConfig(fsys fs.FS, environment string) (*Config, error) {
	config, err := InspectConfig(fsys, environment)
	if err != nil {
		return nil, err
	}
	return config, nil
}

// ConfigFile returns the path of an environment's config.yml in the repository.
func ConfigFile(environment string) string {
	return path.Join("environments", environment, "config.yml")
}

// RecallConfig reads a config.yml that was valid when it was recorded. What a newer agent
// refuses in it is no reason to forget the rest: only a file that says nothing is an error.
func RecallConfig(fsys fs.FS, environment string) (*Config, error) {
	config, err := InspectConfig(fsys, environment)
	if config == nil || config.Environment.Name == "" || len(config.Nodes) == 0 {
		return nil, cmp.Or(err, errors.New("config.yml is empty"))
	}
	return config, nil
}

// InspectConfig reads an environment's config.yml as LoadConfig does, and returns it
// beside its faults as far as it can be read, or nil.
func InspectConfig(fsys fs.FS, environment string) (*Config, error) {
	l := &loader{repository: &repository{under: fsys}}
	config := l.config(environment)
	return config, l.faults.err()
}

// Environments lists the environments of a repository, sorted.
func Environments(fsys fs.FS) ([]string, error) {
	l := &loader{repository: &repository{under: fsys}}
	names := l.environments()
	return names, l.faults.err()
}

func (l *loader) environments() []string {
	names, found := l.folders("environments")
	if !found && len(l.faults) == 0 {
		l.faults.add(fault.Place{File: "environments"}, "use the top folder of a coin-gitops repository", "the folder environments is missing")
	}
	return names
}

// Nodes lists the nodes of an environment in the order of config.yml.
func Nodes(fsys fs.FS, environment string) ([]string, error) {
	config, err := LoadConfig(fsys, environment)
	if err != nil {
		return nil, err
	}
	return nodeNames(config), nil
}

// loader fills a Node and collects its faults.
type loader struct {
	repository *repository
	node       *Node
	chosen     selected            // what config.yml says of it
	names      map[string][]string // regular files in the node's and in the stack's folder, sorted
	project    []setting           // merged project settings
	provided   map[string]Variable // that config.yml gives
	faults     faults
}

var plainName = regexp.MustCompile(namePattern)

// config reads config.yml. It returns nil if the load cannot continue.
func (l *loader) config(environment string) *Config {
	file := ConfigFile(environment)
	if !plainName.MatchString(environment) {
		l.faults.add(fault.Place{}, "write the name of a folder in environments/, such as sandbox", "%q is not a valid environment name", environment)
		return nil
	}
	content, found := l.read(file)
	if !found {
		if len(l.faults) > 0 {
			return nil
		}
		switch known := l.environments(); {
		case len(l.faults) > 0:
		case slices.Contains(known, environment):
			l.faults.add(fault.Place{File: file}, "add it with at least the keys environment and nodes", "config.yml is missing")
		default:
			l.faults.add(fault.Place{File: path.Dir(file)}, oneOf(environment, known), "environment %q is not in the repository", environment)
		}
		return nil
	}
	config, decoded := decodeConfig(file, content, l.repository.Limits())
	l.faults = append(l.faults, decoded...)
	l.faults = append(l.faults, validate(config, environment)...)
	return config
}

// enter checks that the node's folder and the stack's exist, and lists their files.
func (l *loader) enter() bool {
	l.names = map[string][]string{}
	for _, dir := range l.node.Folders() {
		if !l.folder(dir) {
			return false
		}
		l.names[dir] = regularFiles(l, dir)
	}
	var err error
	if l.repository.dir, err = l.repository.follow(l.node.Dir); err != nil {
		l.unreadable(l.node.Dir, fault.Place{File: l.node.Dir}, err)
		return false
	}
	return true
}

// folder checks that a folder of the node exists: its own, or the stack's.
func (l *loader) folder(dir string) bool {
	whose, entry := "node's", "the node"
	if dir != l.node.Home {
		whose, entry = "stack's", "the stack"
	}
	place := fault.Place{File: dir}
	info, err := fs.Stat(l.repository, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		known, _ := l.folders(path.Dir(dir))
		hint := "add it with a docker-compose.yml, or remove " + entry + " from config.yml"
		if near := fault.Nearest(path.Base(dir), known); near != "" {
			hint = fmt.Sprintf("%s (a folder %s exists)", hint, near)
		}
		l.faults.add(place, hint, "the %s folder is missing", whose)
	case err != nil:
		l.unreadable(dir, place, err)
	case !info.IsDir():
		l.faults.add(place, "make it a folder with a docker-compose.yml", "the %s folder is a file", whose)
	default:
		return true
	}
	return false
}

// folders lists the folders in a folder, sorted, without hidden ones, and reports
// whether the folder itself exists.
func (l *loader) folders(dir string) (names []string, found bool) {
	skip := func(string, error) {}
	return l.list(dir, skip, func(name string, mode fs.FileMode) bool { return mode.IsDir() && !strings.HasPrefix(name, ".") })
}

// regularFiles lists the regular files of a folder, sorted. It follows links.
func regularFiles(l *loader, dir string) []string {
	broken := func(file string, err error) { l.unreadable(file, fault.Place{File: file}, err) }
	names, _ := l.list(dir, broken, func(_ string, mode fs.FileMode) bool { return mode.IsRegular() })
	return names
}

// list lists the wanted entries of a folder, sorted, and reports whether the folder
// exists. It follows links, and calls broken for those that cannot be followed.
func (l *loader) list(dir string, broken func(string, error), wanted func(string, fs.FileMode) bool) (names []string, found bool) {
	entries, err := fs.ReadDir(l.repository, dir)
	if err != nil {
		l.unreadable(dir, fault.Place{File: dir}, err)
		return nil, false
	}
	for _, entry := range entries {
		file, mode := path.Join(dir, entry.Name()), entry.Type()
		if mode&fs.ModeSymlink != 0 {
			info, err := fs.Stat(l.repository, file)
			if err != nil {
				broken(file, err)
				continue
			}
			mode = info.Mode()
		}
		if wanted(entry.Name(), mode) {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names, true
}

// read returns the content of a file and whether it exists. A file that cannot be
// read is a fault.
func (l *loader) read(file string) ([]byte, bool) {
	content, err := fs.ReadFile(l.repository, file)
	if err != nil {
		l.unreadable(file, fault.Place{File: file}, err)
		return nil, false
	}
	return content, true
}

// unreadable adds a fault for a failed read, unless the file does not exist.
func (l *loader) unreadable(file string, place fault.Place, err error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, limits.ErrExceeded):
		l.faults = append(l.faults, fault.WithoutPath(err))
	case errors.Is(err, errLeaves):
		l.faults.add(place, "put the file itself into the repository", "the path %s has a symbolic link that leaves the repository", file)
	default:
		l.faults.add(place, "check that it is a readable regular file", "read %s: %w", file, fault.WithoutPath(err))
	}
}

// lenient reports whether unset variables are allowed.
func (n *Node) lenient() bool { return n.Config.Interpolation == Lenient }
