package provenance

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"coin.internal/coin-agent/internal/fault"
)

// commit is one commit of the history.
type commit struct {
	Commit
	hash, tree plumbing.Hash
	parents    []*commit
	request    string // the merge request that its message names
	cut        bool   // a shallow clone ends here

	main   int     // its place on the branch, from the oldest; -1: it came by a merge
	landed *commit // the commit by which it came to the branch
}

// graph is all commits that HEAD has come from.
type graph struct {
	repo   *git.Repository
	prefix string // of the environments' folder in the repository, with a slash at the end, or ""
	branch string
	head   *commit
	all    []*commit // parents first; those that one merge brings stand together
	main   []*commit // the branch itself: the first parents, the oldest first
	byHash map[plumbing.Hash]*commit
}

// readGraph reads the history of the working copy that dir is in.
func readGraph(dir string) (*graph, error) {
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, fault.New(fault.Place{File: dir}, "work in a clone: git clone <repository>, or name one with --repo", "the folder is in no git working copy")
	}
	if err != nil {
		return nil, fmt.Errorf("open the git working copy %s: %w", dir, err)
	}
	g := &graph{repo: repo}
	if err := g.place(dir); err != nil {
		return nil, err
	}
	head, err := repo.Head()
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("read HEAD of %s: %w", dir, err), "check out the branch whose history counts")
	}
	if head.Name().IsBranch() {
		g.branch = head.Name().Short()
	}
	if err := g.load(head.Hash()); err != nil {
		return nil, err
	}
	g.order()
	return g, nil
}

// place finds the environments' folder in the repository.
func (g *graph) place(dir string) error {
	tree, err := g.repo.Worktree()
	if err != nil {
		return fault.WithHint(fmt.Errorf("open the git working copy %s: %w", dir, err), "work in a clone that has its files checked out")
	}
	root, err := filepath.EvalSymlinks(tree.Filesystem.Root())
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	within, err := filepath.Rel(root, dir)
	if err == nil && within != "." {
		g.prefix = filepath.ToSlash(within) + "/"
	}
	return err
}

// load reads all commits from head back to where the history ends.
func (g *graph) load(head plumbing.Hash) error {
	ends, err := g.repo.Storer.Shallow()
	if err != nil {
		return fmt.Errorf("read where the clone's history ends: %w", err)
	}
	known := map[plumbing.Hash]*commit{}
	get := func(hash plumbing.Hash) *commit {
		if known[hash] == nil {
			known[hash] = &commit{hash: hash, main: -1}
		}
		return known[hash]
	}
	g.byHash = known
	g.head = get(head)
	for left := []*commit{g.head}; len(left) > 0; {
		one := left[len(left)-1]
		left = left[:len(left)-1]
		if one.Hash != "" {
			continue
		}
		read, err := g.repo.CommitObject(one.hash)
		if err != nil {
			return incomplete("commit", one.hash, err)
		}
		one.fill(read)
		if one.cut = slices.Contains(ends, one.hash); one.cut {
			continue
		}
		for _, parent := range read.ParentHashes {
			one.parents = append(one.parents, get(parent))
		}
		left = append(left, one.parents...)
	}
	return nil
}

func incomplete(kind string, hash plumbing.Hash, err error) error {
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return fault.New(fault.Place{}, "make a complete clone: git clone <repository>, without --filter",
			"git's %s %s is missing from this clone", kind, hash)
	}
	return fmt.Errorf("read git's %s %s: %w", kind, hash, err)
}

// mergeRequest is how GitLab ends the message of a merge.
var mergeRequest = regexp.MustCompile(`(?m)^See merge request (\S+!\d+)[ \t\r]*$`)

func (c *commit) fill(read *object.Commit) {
	subject, _, _ := strings.Cut(strings.TrimLeft(read.Message, "\n"), "\n")
	c.Commit = Commit{
		Hash: read.Hash.String(), Author: read.Author.Name, AuthorEmail: read.Author.Email, Authored: read.Author.When,
		Committer: read.Committer.Name, CommitterEmail: read.Committer.Email, Committed: read.Committer.When,
		Subject: strings.TrimSpace(subject),
	}
	c.tree = read.TreeHash
	if found := mergeRequest.FindStringSubmatch(read.Message); found != nil {
		c.request = found[1]
	}
}

// order puts the commits into the order in which they came to the branch.
func (g *graph) order() {
	for one := g.head; one != nil; {
		g.main = append(g.main, one)
		if len(one.parents) == 0 {
			break
		}
		one = one.parents[0]
	}
	slices.Reverse(g.main)
	for i, one := range g.main {
		one.main = i
		g.land(one)
	}
}

// land adds what a commit of the branch brings: what it has come from and was not
// there before, and itself.
func (g *graph) land(by *commit) {
	type visit struct {
		commit *commit
		next   int // of its parents
	}
	by.landed = by
	for path := []visit{{commit: by}}; len(path) > 0; {
		top := &path[len(path)-1]
		if top.next == len(top.commit.parents) {
			g.all = append(g.all, top.commit)
			path = path[:len(path)-1]
			continue
		}
		parent := top.commit.parents[top.next]
		top.next++
		if parent.landed == nil {
			parent.landed = by
			path = append(path, visit{commit: parent})
		}
	}
}

// since gives the date of the oldest commit.
func (g *graph) since() time.Time {
	oldest := g.head.Committed
	for _, one := range g.all {
		if one.Committed.Before(oldest) {
			oldest = one.Committed
		}
	}
	return oldest
}

// ends lists the commits where a shallow clone's history ends.
func (g *graph) ends() []*commit {
	var ends []*commit
	for _, one := range g.all {
		if one.cut {
			ends = append(ends, one)
		}
	}
	return ends
}

// tagged gives the commits that have a tag whose name matches.
func (g *graph) tagged(match func(string) bool) (map[string]bool, error) {
	tags, err := g.repo.Tags()
	if err != nil {
		return nil, fmt.Errorf("read the tags: %w", err)
	}
	found := map[string]bool{}
	err = tags.ForEach(func(tag *plumbing.Reference) error {
		if !match(tag.Name().Short()) {
			return nil
		}
		at := tag.Hash()
		if annotated, err := g.repo.TagObject(at); err == nil {
			at = annotated.Target
		}
		found[at.String()] = true
		return nil
	})
	return found, err
}
