package sync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"coin.internal/coin-agent/internal/fault"
)

// Revision is a commit that the remote offers, and how it was selected.
type Revision struct {
	Commit  string    `json:"commit"`           // full hash
	Ref     string    `json:"ref"`              // branch or tag name, short: master, 2025-12-15-11eeef9e99
	Tag     bool      `json:"tag,omitempty"`    // Ref is a tag
	Author  string    `json:"author,omitempty"` // "Name <email>"
	Subject string    `json:"subject,omitempty"`
	Time    time.Time `json:"time,omitzero"` // committer time
}

// Checkout is one revision's files, in memory.
type Checkout struct {
	Revision Revision
	FS       fs.FS

	files *files // what FS is; nil in a Checkout that Fetch did not make
}

// Fetch brings a revision's commit and folders with one request, and the files
// at or below the prefetch paths with a second one; a path that is not there is
// no error. Another file comes when FS reads it, which ctx bounds too: the
// checkout reads from the remote only as long as ctx lives.
func (r *Repository) Fetch(ctx context.Context, rev Revision, prefetch []string) (*Checkout, error) {
	for _, path := range prefetch {
		if !fs.ValidPath(path) {
			return nil, fault.New(fault.Place{File: path}, "name paths from the repository's root, without ..", "not a path inside the repository")
		}
	}
	need, err := needOf(rev)
	if err != nil {
		return nil, err
	}
	store, err := r.src.pull(ctx, need)
	if err != nil {
		return nil, err
	}
	commit, err := object.GetCommit(store, need.wants[0])
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, &fault.Error{
			Message: fmt.Sprintf("%s did not give commit %s", r.name, rev.Commit),
			Hint:    fmt.Sprintf("%s may have moved on meanwhile; select again", rev.Ref),
			Err:     ErrNotFound,
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", rev.Commit, err)
	}
	rev.Author = commit.Author.Name + " <" + commit.Author.Email + ">"
	rev.Subject, _, _ = strings.Cut(strings.TrimSpace(commit.Message), "\n")
	rev.Time = commit.Committer.When.UTC()
	all := &files{
		store: store,
		more: func(blobs []plumbing.Hash) error {
			return r.src.blobs(ctx, store, need, blobs)
		},
		root:  node{mode: modeFolder, hash: commit.TreeHash},
		trees: map[plumbing.Hash]folder{},
		read:  Inputs{},
		when:  rev.Time,
	}
	if err := all.prefetch(prefetch); err != nil {
		return nil, fmt.Errorf("fetch %s: %w", rev.Commit, err)
	}
	return &Checkout{Revision: rev, FS: all, files: all}, nil
}

func needOf(rev Revision) (need, error) {
	if !plumbing.IsHash(rev.Commit) {
		return need{}, fault.New(fault.Place{}, "give the full hash of a commit", "%q is no commit", rev.Commit)
	}
	asked := need{wants: []plumbing.Hash{plumbing.NewHash(rev.Commit)}, depth: 1, filter: packp.FilterBlobNone()}
	if rev.Tag {
		asked.ref = tagPrefix + rev.Ref
	}
	return asked, nil
}

// Descends tells whether older is an ancestor of newer, or the same commit: that
// the way from one to the other rewrites no history. It asks for commits alone.
func (r *Repository) Descends(ctx context.Context, older, newer string) (bool, error) {
	if older == newer {
		return true, nil
	}
	for _, commit := range []string{older, newer} {
		if !plumbing.IsHash(commit) {
			return false, fault.New(fault.Place{}, "give the full hash of a commit", "%q is no commit", commit)
		}
	}
	ancestor := plumbing.NewHash(older)
	store, err := r.src.pull(ctx, need{
		wants:  []plumbing.Hash{plumbing.NewHash(newer)},
		have:   ancestor,
		filter: packp.FilterTreeDepth(0),
	})
	if errors.Is(err, errUnknownHave) {
		return false, nil // whatever newer descends from, the remote has
	}
	if err != nil {
		return false, err
	}
	seen := map[plumbing.Hash]bool{}
	for todo := []plumbing.Hash{plumbing.NewHash(newer)}; len(todo) > 0; {
		hash := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if hash == ancestor {
			return true, nil
		}
		if seen[hash] {
			continue
		}
		seen[hash] = true
		commit, err := object.GetCommit(store, hash)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			continue // an ancestor of older, so older is not among its ancestors
		}
		if err != nil {
			return false, fmt.Errorf("read history of %s: %w", r.name, err)
		}
		todo = append(todo, commit.ParentHashes...)
	}
	return false, nil
}
