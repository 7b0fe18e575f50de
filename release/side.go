package release

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/storer"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
	gitsync "coin.internal/coin-agent/sync"
)

// snapshot is the repository as of one commit.
type snapshot struct {
	store  storer.EncodedObjectStorer
	prefix string // of the folder with environments/, with a slash at the end, or ""
	commit string // its full hash
}

func snapshotOf(tree *worktree.Worktree, commit string) snapshot {
	return snapshot{store: tree.Repo.Storer, prefix: tree.Prefix, commit: commit}
}

// open gives the files of the commit, which note what is read of them.
func (s snapshot) open() (fs.ReadLinkFS, *gitsync.Checkout, error) {
	checkout, err := gitsync.Read(s.store, gitsync.Revision{Commit: s.commit})
	if err != nil {
		return nil, nil, err
	}
	top, err := fs.Sub(checkout.FS, path.Join(".", s.prefix))
	if err != nil {
		return nil, nil, err
	}
	files, ok := top.(fs.ReadLinkFS)
	if !ok {
		return nil, nil, fmt.Errorf("read commit %s: its symbolic links cannot be read", s.commit)
	}
	return files, checkout, nil
}

// side is one node with what its files give, as far as that is known without keys.
type side struct {
	node  *manifests.Node
	entry manifests.NodeConfig
	stack *compose.Stack
	files fileList
	fsys  fs.FS
	read  gitsync.Inputs // what the agent of the node reads
}

// fileList is what a node's files are for, by their paths in the repository.
type fileList struct {
	compose   []string // in merge order
	others    []string // that compose files name: templates of configs, included files; sorted
	settings  []string // project settings, common ones first
	variables []string // as Node.VariableFiles
}

// stackOf names a stack of a node; "" for the only one of a node that lists none.
type stackOf struct{ environment, node, stack string }

// openSide reads a stack of a node of a commit. What is wrong with its files is an error only if strict.
func (s snapshot) openSide(of stackOf, strict bool) (*side, error) {
	top, checkout, err := s.open()
	if err != nil {
		return nil, err
	}
	read := func() (names []string) {
		for name, input := range checkout.Inputs() {
			if within, ok := strings.CutPrefix(name, s.prefix); ok && strings.HasPrefix(input, "100") { // a file
				names = append(names, within)
			}
		}
		return names
	}
	opened, err := inspectSide(top, of, read)
	if opened == nil || strict && err != nil {
		return nil, fmt.Errorf("read node %s of %s: %w", of.node, of.environment, err)
	}
	opened.read = checkout.Inputs()
	return opened, nil
}

// inspectSide reads a stack of a node, and gives it beside what is wrong with its files. read lists the files
// that were read; nil: they are not known.
func inspectSide(fsys fs.FS, of stackOf, read func() []string) (*side, error) {
	node, err := manifests.InspectStack(fsys, of.environment, of.node, of.stack)
	if node == nil {
		return nil, err
	}
	stack, invalid := desired.Inspect(node)
	opened := &side{node: node, stack: stack, fsys: fsys}
	opened.entry, _ = node.Config.Node(of.node)
	opened.list(read)
	return opened, errors.Join(err, invalid)
}

// list finds out what the files of the node are for.
func (s *side) list(read func() []string) {
	node := s.node
	s.files = fileList{compose: node.ComposeFiles, variables: node.VariableFiles}
	s.files.settings = []string{path.Join("environments", node.Environment, "common", "project.env")}
	own := s.entry.ProjectFiles
	if len(own) == 0 {
		own = []string{"project.env", "project_" + node.Name + ".env"}
	}
	for _, name := range own {
		s.files.settings = append(s.files.settings, path.Join(node.Home, name))
	}
	if node.Dir != node.Home {
		s.files.settings = append(s.files.settings, path.Join(node.Dir, "project.env"), path.Join(node.Dir, "project_"+node.Name+".env"))
	}
	if read == nil {
		return
	}
	known := slices.Concat(s.files.compose, s.files.variables, s.files.settings, node.SecretFiles)
	for _, name := range read() {
		special := slices.Contains([]string{"config.yml", "secrets.override.env"}, path.Base(name)) || path.Ext(name) == ".env"
		if !special && !slices.Contains(known, name) && !isSecret(name) && strings.HasPrefix(name, "environments/") {
			s.files.others = append(s.files.others, name)
		}
	}
	slices.Sort(s.files.others)
}

// isSecret reports whether a file is one of secrets by its name.
func isSecret(name string) bool {
	return path.Base(path.Dir(name)) == "secrets" || path.Ext(name) == ".enc"
}

// content gives a file; "" without one.
func (s *side) content(name string) string {
	content, _ := fs.ReadFile(s.fsys, name) // what cannot be read is found by the check
	return string(content)
}

// has reports whether there is such a file.
func (s *side) has(name string) bool {
	_, err := fs.Stat(s.fsys, name)
	return err == nil
}

// mine gives the path at which this node has what the other node has at a path: in its own
// folder what the other has in its own, in its environment's what is in the other's.
func (s *side) mine(other *side, name string) string {
	if within, ok := strings.CutPrefix(name, other.node.Dir+"/"); ok {
		return path.Join(s.node.Dir, within)
	}
	if within, ok := strings.CutPrefix(name, other.node.Home+"/"); ok {
		return path.Join(s.node.Home, within)
	}
	if within, ok := strings.CutPrefix(name, path.Join("environments", other.node.Environment)+"/"); ok {
		return path.Join("environments", s.node.Environment, within)
	}
	return name
}

// merged gives the project settings that containers of the node get, by name.
func (s *side) merged() map[string]string {
	content, _ := fs.ReadFile(s.node.FS, path.Join(s.node.Dir, ".project.tmp.env"))
	return settingsIn(string(content))
}

// settingsIn gives the settings of an env file, by name. The last one of a name counts.
func settingsIn(content string) map[string]string {
	all := map[string]string{}
	for _, line := range proposal.Lines(content) {
		line = strings.TrimSpace(line)
		name, value, assigned := strings.Cut(line, "=")
		if assigned && name != "" && !strings.HasPrefix(line, "#") {
			all[name] = value
		}
	}
	return all
}
