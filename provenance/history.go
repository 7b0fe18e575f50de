package provenance

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/secrets"
	gitsync "coin.internal/coin-agent/sync"
)

// commit is one commit of the history.
type commit struct {
	info    Commit
	parents []*commit
	request string  // the merge request that its message names
	cut     bool    // a shallow clone ends here
	landed  *commit // the commit of the branch that brought it there
}

// history is HEAD and its ancestors. It keeps what was decoded and decrypted of them.
type history struct {
	tree    *worktree.Worktree
	objects *objects
	branch  string          // "" where a commit is checked out
	ends    []plumbing.Hash // of a shallow clone
	head    *commit
	byHash  map[string]*commit
	all     []*commit // each after its parents; the commits of one merge are next to each other
	main    []*commit // the branch: the first parents, the oldest first

	keys    *secrets.Keyring       // nil for none
	run     []byte                 // the key of the values' prints
	secrets map[string]*secretFile // by path and content
}

// wipe forgets the values.
func (h *history) wipe() {
	clear(h.run)
	for _, one := range h.secrets {
		one.set.Wipe()
	}
	clear(h.secrets)
}

// readHistory reads the history of the working copy that dir is in.
func readHistory(dir string, keys *secrets.Keyring) (*history, error) {
	tree, err := worktree.Open(dir)
	if err != nil {
		return nil, err
	}
	head, err := tree.Repo.Head()
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("read HEAD of %s: %w", dir, err), "check out the branch to audit: git switch BRANCH")
	}
	h := &history{
		tree: tree, objects: &objects{EncodedObjectStorer: tree.Repo.Storer}, byHash: map[string]*commit{},
		keys: keys, run: []byte(rand.Text()), secrets: map[string]*secretFile{},
	}
	if head.Name().IsBranch() {
		h.branch = head.Name().Short()
	}
	if h.ends, err = tree.Repo.Storer.Shallow(); err != nil {
		return nil, fmt.Errorf("read the end of the clone's history: %w", err)
	}
	h.head, err = h.visit(head.Hash(), nil)
	return h, err
}

// visit reads a commit, after those of its ancestors that are new: the commit by brought
// them to the branch. It is nil for a commit of the branch, whose first parent is visited
// before the branches that were merged.
func (h *history) visit(hash plumbing.Hash, by *commit) (*commit, error) {
	if known := h.byHash[hash.String()]; known != nil {
		return known, nil
	}
	read, err := object.GetCommit(h.objects, hash)
	switch {
	case h.objects.fault != nil:
		return nil, h.objects.fault
	case err != nil:
		return nil, fmt.Errorf("read git's commit %s: %w", hash, err)
	}
	one := &commit{cut: slices.Contains(h.ends, hash)}
	one.fill(read)
	one.landed = cmp.Or(by, one)
	h.byHash[one.info.Hash] = one
	parents := read.ParentHashes
	if one.cut {
		parents = nil
	}
	for i, parent := range parents {
		through := one.landed
		if i == 0 {
			through = by
		}
		found, err := h.visit(parent, through)
		if err != nil {
			return nil, err
		}
		one.parents = append(one.parents, found)
	}
	h.all = append(h.all, one)
	if by == nil {
		h.main = append(h.main, one)
	}
	return one, nil
}

// since is when the first commit was made, of those whose time is known.
func (h *history) since() (first time.Time) {
	for _, one := range h.all {
		if at := one.info.Committed; !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// mergeRequest is how GitLab ends the message of a merge.
var mergeRequest = lazyregexp.New(`(?m)^See merge request (\S+!\d+)[ \t\r]*$`)

func (c *commit) fill(read *object.Commit) {
	subject, _, _ := strings.Cut(strings.TrimLeft(read.Message, "\n"), "\n")
	c.info = Commit{
		Hash: read.Hash.String(), Author: read.Author.Name, AuthorEmail: read.Author.Email, Authored: gitsync.When(read.Author.When),
		Committer: read.Committer.Name, CommitterEmail: read.Committer.Email, Committed: gitsync.When(read.Committer.When),
		Subject: strings.TrimSpace(subject),
	}
	if found := mergeRequest().FindAllStringSubmatch(read.Message, -1); len(found) > 0 {
		c.request = found[len(found)-1][1] // those before are quoted
	}
}
