package sync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

// Revision is a commit of the remote, and the ref that selected it.
type Revision struct {
	Commit  string    `json:"commit"`           // full hash
	Ref     string    `json:"ref"`              // short name of a branch or tag: master, 2025-12-15-11eeef9e99
	Tag     bool      `json:"tag,omitempty"`    // Ref is a tag
	Author  string    `json:"author,omitempty"` // "Name <email>"
	Subject string    `json:"subject,omitempty"`
	Time    time.Time `json:"time,omitzero"` // committer time
}

// Checkout has one revision's files in memory.
type Checkout struct {
	Revision Revision
	FS       fs.FS

	files *files // the same as FS; nil in a Checkout that Fetch did not make
}

// Fetch reads a revision's commit and folders with one request, and the files at or below
// the prefetch paths with a second one. It ignores paths that do not exist. FS reads
// other files from the remote when they are opened, until ctx ends.
func (r *Repository) Fetch(ctx context.Context, rev Revision, prefetch []string) (*Checkout, error) {
	for _, path := range prefetch {
		if !fs.ValidPath(path) {
			return nil, fault.New(fault.Place{File: path}, "use paths from the repository's root, without ..", "the path is not in the repository")
		}
	}
	commit, err := commitHash(rev.Commit)
	if err != nil {
		return nil, err
	}
	need := need{wants: []plumbing.Hash{commit}, depth: 1, filter: packp.FilterBlobNone()}
	if rev.Tag {
		need.ref = tagPrefix + rev.Ref
	}
	store, err := r.src.pull(ctx, need)
	if err != nil {
		return nil, err
	}
	checkout, err := r.read(store, rev)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, &fault.Error{
			Message: fmt.Sprintf("%s does not have commit %s", r.name, rev.Commit),
			Hint:    fmt.Sprintf("wait for the next sync: %s may have moved", rev.Ref),
			Err:     ErrNotFound,
		}
	}
	if err != nil {
		return nil, err
	}
	checkout.files.more = func(blobs []plumbing.Hash) error { return r.src.blobs(ctx, store, need, blobs) }
	if err := checkout.files.prefetch(prefetch); err != nil {
		return nil, fmt.Errorf("fetch %s: %w", rev.Commit, err)
	}
	return checkout, nil
}

// Read gives the checkout of a revision whose objects are in a store, with the default limits.
func Read(store storer.EncodedObjectStorer, rev Revision) (*Checkout, error) {
	return (&Repository{limits: limits.Default()}).read(store, rev)
}

func (r *Repository) read(store storer.EncodedObjectStorer, rev Revision) (*Checkout, error) {
	commit, err := object.GetCommit(store, plumbing.NewHash(rev.Commit))
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", rev.Commit, err)
	}
	rev.Author = shortened(commit.Author.Name + " <" + commit.Author.Email + ">")
	rev.Subject = subject(commit)
	rev.Time = When(commit.Committer.When).UTC()
	all := &files{
		limits: r.limits,
		mu:     &sync.Mutex{},
		store:  store,
		more:   func([]plumbing.Hash) error { return nil },
		root:   node{mode: modeFolder, hash: commit.TreeHash},
		trees:  map[plumbing.Hash]folder{},
		read:   Inputs{},
		when:   rev.Time,
	}
	return &Checkout{Revision: rev, FS: all, files: all}, nil
}

// maxText bounds a text that a commit says of itself, in bytes. All of them are recorded with each
// sync, and shown wherever the commit is.
const maxText = 1 << 10

func shortened(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

// subject gives the first line of a commit's message.
func subject(of *object.Commit) string {
	first, _, _ := strings.Cut(strings.TrimSpace(of.Message), "\n")
	return shortened(first)
}

// When gives a time that a commit says of itself in a form that JSON can have (RFC 3339): in UTC if
// its zone is none, such as +9900, and the zero time if its year is not between 0 and 9999.
func When(said time.Time) time.Time {
	for _, one := range []time.Time{said, said.UTC()} {
		if _, err := one.MarshalText(); err == nil {
			return one
		}
	}
	return time.Time{}
}

func commitHash(text string) (plumbing.Hash, error) {
	if !plumbing.IsHash(text) {
		return plumbing.ZeroHash, fault.New(fault.Place{}, "use the full hash of a commit", "%q is not a commit hash", text)
	}
	return plumbing.NewHash(text), nil
}

// Descends reports whether older is an ancestor of newer, or the same commit, so that the
// history is not rewritten. It requests only commits.
func (r *Repository) Descends(ctx context.Context, older, newer string) (bool, error) {
	if older == newer {
		return true, nil
	}
	ancestor, err := commitHash(older)
	if err != nil {
		return false, err
	}
	tip, err := commitHash(newer)
	if err != nil {
		return false, err
	}
	store, err := r.src.pull(ctx, need{
		wants:  []plumbing.Hash{tip},
		have:   ancestor,
		filter: packp.FilterTreeDepth(0),
	})
	if errors.Is(err, errUnknownHave) {
		return false, nil // the remote has all ancestors of newer
	}
	if err != nil {
		return false, err
	}
	for hash, err := range ancestors(store, tip) { // not those of older, which cannot descend from it
		if err != nil {
			return false, fmt.Errorf("read history of %s: %w", r.name, err)
		}
		if hash == ancestor {
			return true, nil
		}
	}
	return false, nil
}
