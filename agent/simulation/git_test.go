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
	commits map[string]*commit // of the branch
	others  map[string]*commit // of the merge requests
	head    *commit
	moved   uint64  // how often a branch has moved
	shown   uint64  // moved when the refs were listed last
	stale   *commit // what a replica that lags behind still serves; nil when none does
	away    bool
	made    int
	asked   int // how often the refs were listed
}

func newGit() *git { return &git{commits: map[string]*commit{}, others: map[string]*commit{}} }

// commit adds a commit on a parent, and moves the branch to it.
func (g *git) commit(parent *commit, wants release) *commit {
	g.mu.Lock()
	defer g.mu.Unlock()
	made := g.add(parent, wants)
	g.commits[made.hash], g.head = made, made
	return made
}

// commitAside adds a commit on a parent to the branch of a merge request.
func (g *git) commitAside(parent *commit, wants release) *commit {
	g.mu.Lock()
	defer g.mu.Unlock()
	made := g.add(parent, wants)
	g.others[made.hash] = made
	return made
}

// find gives a commit; nil if there is none.
func (g *git) find(hash string) *commit {
	if found := g.commits[hash]; found != nil {
		return found
	}
	return g.others[hash]
}

// Heads gives a number that changes when a branch has moved between two lists of the refs.
func (g *git) Heads() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shown
}

// add adds a commit on a parent.
func (g *git) add(parent *commit, wants release) *commit {
	g.made++
	g.moved++
	made := &commit{parent: parent, store: memory.NewStorage(), wants: wants}
	about := object.Commit{Message: fmt.Sprintf("Change %d: %s\n", g.made, wants.about), TreeHash: writeTree(made.store, wants.files())}
	about.Author = object.Signature{Name: "Ada", Email: "ada@coin.example", When: time.Now()}
	about.Committer = about.Author
	if parent != nil {
		about.ParentHashes = []plumbing.Hash{plumbing.NewHash(parent.hash)}
	}
	made.hash = write(made.store, about.Encode)
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
	g.asked++
	if err := g.answer(); err != nil {
		return gitsync.Revision{}, err
	}
	served := g.head
	g.shown = g.moved
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
	found := g.find(revision.Commit)
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
	found := g.find(newer)
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
