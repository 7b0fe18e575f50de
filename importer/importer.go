// Package importer brings a release directory of auto.sh into a repository: from the files that
// deployment.sh read, it makes the folder of a node, with each secret encrypted by the rules of
// .sops.yaml, and the node's entry in config.yml. Plaintext of a secret reaches no file of the
// repository, and the folder is written only if it renders to the same specs as the directory.
package importer

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
	"coin.internal/coin-agent/stackfiles"
)

// Request says what is imported into which folder of a repository.
type Request struct {
	Dir  string // the release directory
	Repo string // the folder of the repository that has environments/

	Environment, Node string
	Flags             stackfiles.Flags // those of deployment.sh; empty ones are found in the directory

	Keys      *secrets.Keyring // to compare encrypted files that exist; nil for none
	Limits    limits.Limits
	Plaintext bool // settings that look like secrets are written as they are, unless one has the value of a secret
	Changes   bool // specs that differ from those of the directory are accepted
	Overwrite bool // files of the node that exist and differ are replaced
	DryRun    bool // nothing is written
}

// Result is what an import found and wrote. It has no values.
type Result struct {
	Environment string `json:"environment"`
	Node        string `json:"node"`
	Stack       string `json:"stack"`
	Services    int    `json:"services"`
	Secrets     int    `json:"secrets"`

	Files     []File   `json:"files"`
	Config    string   `json:"config,omitempty"`  // the config.yml that got the node's entry
	Entry     string   `json:"entry,omitempty"`   // the entry to add by hand, if the import could not
	Plaintext []Note   `json:"plaintext"`         // settings that look like secrets, or have the value of one
	Leaks     bool     `json:"leaks,omitempty"`   // a readable file has the value of a secret
	Changes   []string `json:"changes"`           // what differs from the directory's specs
	Warnings  []Note   `json:"warnings"`          // what to look at
	Left      []string `json:"left"`              // what stays in the directory only
	Written   bool     `json:"written"`           // false: nothing was written
	Finished  bool     `json:"finished"`          // the repository has all of it
	Refused   string   `json:"refused,omitempty"` // why nothing was written
}

// Changing reports whether the repository lacks a part of it.
func (r *Result) Changing() bool {
	return r.Config != "" || slices.ContainsFunc(r.Files, func(file File) bool { return file.State != stateUnchanged })
}

// File is one file of the node's folder.
type File struct {
	Path      string `json:"path"` // in the repository
	Encrypted bool   `json:"encrypted,omitempty"`
	State     string `json:"state"` // new, unchanged, replaced
}

// Note is one finding.
type Note struct {
	Place   string `json:"place,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func noteOf(one *fault.Error) Note { return Note{one.Place.String(), one.Message, one.Hint} }

// run is one import.
type run struct {
	request Request
	result  *Result
	root    *os.Root // the repository
	folder  string   // environments/<env>/nodes/<node>
	rules   *secrets.Rules

	read  *stackfiles.Files
	given *manifests.NodeConfig // the node's entry in config.yml; nil without one
	known *manifests.Config     // nil without config.yml

	plain  map[string][]byte        // the folder's readable files by their paths in it
	sealed map[string]secrets.Value // its files to encrypt as a whole
	keyed  map[string]secrets.Value // the keys of secrets.enc
	data   map[string][]byte        // all files of the folder as they are written
	config []byte                   // the new config.yml; nil: it stays
}

// Run imports a directory. Nothing is written if an error is returned, or if Result.Refused
// says why. What an interrupted import left is replaced by the next one.
func Run(ctx context.Context, request Request) (*Result, error) {
	r := &run{
		request: request, folder: path.Join("environments", request.Environment, "nodes", request.Node),
		plain: map[string][]byte{}, sealed: map[string]secrets.Value{}, keyed: map[string]secrets.Value{}, data: map[string][]byte{},
		result: &Result{Environment: request.Environment, Node: request.Node, Files: []File{}, Plaintext: []Note{}, Changes: []string{}, Warnings: []Note{}, Left: []string{}},
	}
	defer r.close()
	for _, step := range []func(context.Context) error{r.open, r.load, r.collect, r.collectSecrets, r.encrypt, r.entry, r.compare, r.search, r.existing, r.write} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return r.result, nil
}

func (r *run) close() {
	r.read.Wipe()
	for _, values := range []map[string]secrets.Value{r.sealed, r.keyed} {
		for _, value := range values {
			value.Wipe()
		}
	}
	if r.root != nil {
		_ = r.root.Close()
	}
}

var folderName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// open opens the repository. The directory must not be in it.
func (r *run) open(context.Context) error {
	for _, name := range []string{r.request.Environment, r.request.Node} {
		if !folderName().MatchString(name) {
			return fault.New(fault.Place{}, "use letters, digits, '.', '_' and '-'", "%q cannot be the name of a folder", name)
		}
	}
	var err error
	if r.request.Dir, err = filepath.Abs(r.request.Dir); err == nil {
		r.request.Dir, err = filepath.EvalSymlinks(r.request.Dir)
	}
	if err != nil {
		return fault.New(fault.Place{File: r.request.Dir}, "name the release directory that auto.sh made", "open the directory: %w", err)
	}
	if r.request.Repo, err = filepath.EvalSymlinks(r.request.Repo); err != nil {
		return fmt.Errorf("open the repository: %w", err)
	}
	top := r.request.Repo
	if tree, err := worktree.Open(top); err == nil {
		top = tree.Root
	}
	if within, err := filepath.Rel(top, r.request.Dir); err == nil && filepath.IsLocal(within) {
		return fault.New(fault.Place{File: r.request.Dir}, "move it out of the working copy, and check that git has none of its files: git log --all -- "+filepath.ToSlash(within),
			"the directory with plaintext secrets is in the working copy, where it could be committed")
	}
	if r.root, err = os.OpenRoot(r.request.Repo); err != nil {
		return fmt.Errorf("open the repository: %w", err)
	}
	r.rules = secrets.NewRules(r.request.Repo, r.request.Keys)
	return nil
}

// load reads the directory as deployment.sh did, and config.yml as far as it exists.
func (r *run) load(ctx context.Context) error {
	fsys := limits.On(r.root.FS(), r.request.Limits.OrDefault())
	if _, err := r.root.Stat(manifests.ConfigFile(r.request.Environment)); err == nil {
		if r.known, err = manifests.LoadConfig(fsys, r.request.Environment); err != nil {
			return err
		}
		if entry, found := r.known.Node(r.request.Node); found {
			if len(entry.Stacks) > 0 {
				return fault.New(r.known.Place("nodes"), "import into a node of its own, and move the files to the stack's folder", "the node %s has several stacks", r.request.Node)
			}
			r.given = &entry
		}
	}
	if err := r.complete(); err != nil {
		return err
	}
	var err error
	r.read, err = stackfiles.Read(ctx, r.request.Flags, stackfiles.Options{Dir: r.request.Dir, Keys: r.request.Keys, Limits: r.request.Limits})
	if err != nil {
		return err
	}
	stack := r.read.Stack
	r.result.Stack, r.result.Services, r.result.Secrets = stack.Name, len(stack.Services), len(stack.Secrets)
	return nil
}

// complete finds the files that the flags do not name, as auto.sh passed them.
func (r *run) complete() error {
	flags := &r.request.Flags
	if r.given != nil {
		if flags.Stack != "" && flags.Stack != r.given.Stack {
			return fault.New(r.known.Place("nodes"), "leave out --stack, or correct config.yml", "config.yml has the stack %q for the node %s, not %q", r.given.Stack, r.request.Node, flags.Stack)
		}
		flags.Stack = r.given.Stack
		if flags.Node == "" {
			flags.Node = r.given.Context
		}
	}
	if flags.Stack == "" {
		return fault.New(fault.Place{}, "name the running stack with -w, as auto.sh does (docker stack ls): another name would be another stack", "the name of the stack is not known")
	}
	if len(flags.Compose) == 0 {
		flags.Compose = r.present("docker-compose.yml", "custom.secrets.yml")
		more, err := named(r.request.Dir, "docker-compose-*.y*ml")
		if err != nil {
			return err
		}
		flags.Compose = append(flags.Compose, more...)
	}
	if len(flags.Compose) == 0 {
		return fault.New(fault.Place{File: r.request.Dir}, "name a release directory of auto.sh, or its compose files with -f", "the directory has no docker-compose.yml")
	}
	if len(flags.Nodes) == 0 {
		flags.Nodes = r.present("node.env")
	}
	if err := r.settings(); err != nil {
		return err
	}
	if flags.Secrets == "" && len(r.present("secrets.override.env")) > 0 {
		flags.Secrets = "secrets.override.env"
	}
	return nil
}

// settings finds the files of the node's settings, unless the flags name them.
func (r *run) settings() error {
	flags := &r.request.Flags
	if len(flags.Project) > 0 {
		return nil
	}
	flags.Project = r.present("project.env", "project_"+r.request.Node+".env")
	others, err := named(r.request.Dir, "project_*.env")
	if err != nil {
		return err
	}
	for _, file := range others {
		if !slices.Contains(flags.Project, file) {
			return fault.New(fault.Place{File: file}, "name the files in the order in which they were deployed: -P project.env -P "+file,
				"it is not known whether the node's settings include this file")
		}
	}
	return nil
}

// named lists the names in a folder that a pattern matches, sorted. The path of the folder is not a
// pattern.
func named(dir, pattern string) (found []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.New(fault.Place{File: dir}, "check that it is a readable folder", "list the folder: %w", fault.WithoutPath(err))
	}
	for _, entry := range entries {
		matches, err := path.Match(pattern, entry.Name())
		if err != nil {
			return nil, err
		}
		if matches {
			found = append(found, entry.Name())
		}
	}
	return found, nil
}

// present gives those of the names that are files of the directory.
func (r *run) present(names ...string) (found []string) {
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(r.request.Dir, name)); err == nil && info.Mode().IsRegular() {
			found = append(found, name)
		}
	}
	return found
}

// inside gives the path in the directory of a file that a flag names.
func (r *run) inside(name string) (string, error) {
	if filepath.IsAbs(name) {
		if within, err := filepath.Rel(r.request.Dir, name); err == nil {
			name = within
		}
	}
	name = path.Clean(filepath.ToSlash(name))
	if !filepath.IsLocal(name) {
		return "", fault.New(fault.Place{File: name}, "copy it into the directory, or import it by hand", "the file is outside of the directory")
	}
	return name, nil
}

// treeName gives the path in the directory of a file that was read; false for one outside.
func (r *run) treeName(file string) (string, bool) {
	return strings.CutPrefix(file, strings.TrimPrefix(r.request.Dir, "/")+"/")
}
