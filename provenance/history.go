package provenance

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/worktree"
)

// commit is one commit of the history.
type commit struct {
	Commit
	parents []*commit
	request string  // the merge request that its message names
	cut     bool    // a shallow clone ends here
	landed  *commit // the commit of the branch that brought it there
}

// history is HEAD and its ancestors.
type history struct {
	*worktree.Worktree
	branch string // "" where a commit is checked out
	head   *commit
	byHash map[string]*commit
	all    []*commit // each after its parents; the commits of one merge are next to each other
	main   []*commit // the branch: the first parents, the oldest first
}

// readHistory reads the history of the working copy that dir is in.
func readHistory(dir string) (*history, error) {
	tree, err := worktree.Open(dir)
	if err != nil {
		return nil, err
	}
	head, err := tree.Repo.Head()
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("read HEAD of %s: %w", dir, err), "check out the branch to audit: git switch BRANCH")
	}
	h := &history{Worktree: tree, byHash: map[string]*commit{}}
	if head.Name().IsBranch() {
		h.branch = head.Name().Short()
	}
	if err := h.load(head.Hash()); err != nil {
		return nil, err
	}
	h.head = h.byHash[head.Hash().String()]
	h.main = []*commit{h.head}
	for one := h.head; len(one.parents) > 0; {
		one = one.parents[0]
		h.main = append(h.main, one)
	}
	slices.Reverse(h.main)
	for _, one := range h.main {
		h.land(one, one)
	}
	return h, nil
}

// load reads all commits from head back to the end of the history.
func (h *history) load(head plumbing.Hash) error {
	ends, err := h.Repo.Storer.Shallow()
	if err != nil {
		return fmt.Errorf("read the end of the clone's history: %w", err)
	}
	var left []plumbing.Hash
	get := func(hash plumbing.Hash) *commit {
		if h.byHash[hash.String()] == nil {
			h.byHash[hash.String()] = &commit{}
			left = append(left, hash)
		}
		return h.byHash[hash.String()]
	}
	for get(head); len(left) > 0; {
		hash := left[len(left)-1]
		left = left[:len(left)-1]
		read, err := h.Repo.CommitObject(hash)
		if err != nil {
			return unreadable("commit", hash, err)
		}
		one := get(hash)
		one.fill(read)
		if one.cut = slices.Contains(ends, hash); one.cut {
			continue
		}
		for _, parent := range read.ParentHashes {
			one.parents = append(one.parents, get(parent))
		}
	}
	return nil
}

func unreadable(kind string, hash plumbing.Hash, err error) error {
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return fault.New(fault.Place{}, "make a complete clone, without --filter: git clone URL", "git's %s %s is missing from this clone", kind, hash)
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
	if found := mergeRequest.FindStringSubmatch(read.Message); found != nil {
		c.request = found[1]
	}
}

// land adds a commit, after those of its ancestors that are new: the commit by brought
// them to the branch.
func (h *history) land(one, by *commit) {
	if one.landed != nil {
		return
	}
	one.landed = by
	for _, parent := range one.parents {
		h.land(parent, by)
	}
	h.all = append(h.all, one)
}
