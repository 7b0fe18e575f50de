package signing

import (
	"context"

	gitsync "coin.internal/coin-agent/sync"
)

// Repository is the followed repository.
type Repository interface {
	Select(ctx context.Context, rule gitsync.Rule) (gitsync.Revision, error)
	Tags(ctx context.Context, pattern string) ([]gitsync.Tag, error)
	Fetch(ctx context.Context, revision gitsync.Revision, prefetch []string) (*gitsync.Checkout, error)
	Descends(ctx context.Context, old, revision string) (bool, error)
	Between(ctx context.Context, older, newer string, in gitsync.Inputs) ([]gitsync.Commit, error)
}

// Source is a repository behind a gate.
type Source struct {
	repository Repository
	gate       *Gate
}

// NewSource puts a gate in front of a repository.
func NewSource(repository Repository, gate *Gate) Source { return Source{repository, gate} }

// Select gives the selected revision, which may be one that Fetch refuses.
func (s Source) Select(ctx context.Context, rule gitsync.Rule) (gitsync.Revision, error) {
	return s.repository.Select(ctx, rule)
}

// Tags gives the tags that match; Fetch may refuse them.
func (s Source) Tags(ctx context.Context, pattern string) ([]gitsync.Tag, error) {
	return s.repository.Tags(ctx, pattern)
}

// Fetch gives the files of a revision that was signed by who may.
func (s Source) Fetch(ctx context.Context, revision gitsync.Revision, prefetch []string) (*gitsync.Checkout, error) {
	if _, err := s.gate.Check(ctx, revision); err != nil {
		return nil, err
	}
	return s.repository.Fetch(ctx, revision, prefetch)
}

// Descends reports whether a commit is an ancestor of another one. It reads commits, no
// files.
func (s Source) Descends(ctx context.Context, old, revision string) (bool, error) {
	return s.repository.Descends(ctx, old, revision)
}

// Between lists the commits between two. It reads commits and folders, no files.
func (s Source) Between(ctx context.Context, older, newer string, in gitsync.Inputs) ([]gitsync.Commit, error) {
	return s.repository.Between(ctx, older, newer, in)
}
