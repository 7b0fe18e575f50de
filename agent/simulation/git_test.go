package simulation_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"

	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

// branch is what the agent follows.
const branch = "master"

// commit is one commit of the simulated repository.
type commit struct {
	hash   string
	parent *commit
	store  *memory.Storage // all its objects
	wants  release
}

// descends reports whether the commit is older, or a descendant of it.
func (c *commit) descends(older string) bool {
	for at := c; at != nil; at = at.parent {
		if at.hash == older {
			return true
		}
	}
	return false
}

// git is a repository in memory, as the agent's source. It may be used concurrently.
type git struct {
	mu      sync.Mutex
	commits map[string]*commit
	head    *commit
	stale   *commit // what a replica that lags behind still serves; nil when none does
	away    bool
	made    int
}

func newGit() *git { return &git{commits: map[string]*commit{}} }

// commit adds a commit on a parent, and moves the branch to it.
func (g *git) commit(parent *commit, wants release) *commit {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.made++
	made := &commit{parent: parent, store: memory.NewStorage(), wants: wants}
	about := object.Commit{Message: fmt.Sprintf("Change %d: %s\n", g.made, wants.about), TreeHash: writeTree(made.store, wants.files())}
	about.Author = object.Signature{Name: "Ada", Email: "ada@coin.example", When: time.Now()}
	about.Committer = about.Author
	if parent != nil {
		about.ParentHashes = []plumbing.Hash{plumbing.NewHash(parent.hash)}
	}
	made.hash = write(made.store, about.Encode)
	g.commits[made.hash], g.head = made, made
	return made
}

// set changes what the repository serves.
func (g *git) set(change func(g *git)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(g)
}

// write adds an object to a store, and gives its hash.
func write(store *memory.Storage, encode func(plumbing.EncodedObject) error) string {
	made := store.NewEncodedObject()
	if err := encode(made); err != nil {
		panic(err)
	}
	hash, err := store.SetEncodedObject(made)
	if err != nil {
		panic(err)
	}
	return hash.String()
}

// writeTree adds the folders and files of a commit.
func writeTree(store *memory.Storage, files map[string]string) plumbing.Hash {
	folders := map[string]map[string]string{}
	var tree object.Tree
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if folder, rest, below := strings.Cut(name, "/"); below {
			if folders[folder] == nil {
				folders[folder] = map[string]string{}
			}
			folders[folder][rest] = files[name]
			continue
		}
		hash := write(store, func(made plumbing.EncodedObject) error {
			made.SetType(plumbing.BlobObject)
			writer, err := made.Writer()
			if err == nil {
				_, err = writer.Write([]byte(files[name]))
			}
			return err
		})
		tree.Entries = append(tree.Entries, object.TreeEntry{Name: name, Mode: filemode.Regular, Hash: plumbing.NewHash(hash)})
	}
	for name, below := range folders {
		tree.Entries = append(tree.Entries, object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: writeTree(store, below)})
	}
	slices.SortFunc(tree.Entries, func(a, b object.TreeEntry) int { return strings.Compare(a.Name, b.Name) })
	return plumbing.NewHash(write(store, tree.Encode))
}

// answer gives an error while the repository is away.
func (g *git) answer() error {
	if !g.away {
		return nil
	}
	return &fault.Error{Message: "the remote does not answer", Hint: "is it up?", Err: gitsync.ErrUnreachable}
}

// Select gives the commit of the branch.
func (g *git) Select(context.Context, gitsync.Rule) (gitsync.Revision, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.answer(); err != nil {
		return gitsync.Revision{}, err
	}
	served := g.head
	if g.stale != nil {
		served = g.stale
	}
	return gitsync.Revision{Commit: served.hash, Ref: branch}, nil
}

// Tags has none.
func (g *git) Tags(context.Context, string) ([]gitsync.Tag, error) {
	return nil, gitsync.ErrNotFound
}

// Fetch gives the files of a commit.
func (g *git) Fetch(_ context.Context, revision gitsync.Revision, _ []string) (*gitsync.Checkout, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.answer(); err != nil {
		return nil, err
	}
	found := g.commits[revision.Commit]
	if found == nil {
		return nil, gitsync.ErrNotFound
	}
	return gitsync.Read(found.store, revision)
}

// Descends reports whether a commit is older than another, or the same.
func (g *git) Descends(_ context.Context, older, newer string) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.answer(); err != nil {
		return false, err
	}
	found := g.commits[newer]
	return found != nil && found.descends(older), nil
}

// Between lists the commits between two.
func (g *git) Between(_ context.Context, older, newer string, _ gitsync.Inputs) (line []gitsync.Commit, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.answer(); err != nil {
		return nil, err
	}
	for at := g.commits[newer]; at != nil && at.hash != older; at = at.parent {
		line = append(line, gitsync.Commit{Hash: at.hash, Changes: true})
	}
	return line, nil
}
