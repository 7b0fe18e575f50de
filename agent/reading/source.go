package reading

import (
	"context"

	"coin.internal/coin-agent/agent/signing"
	gitsync "coin.internal/coin-agent/sync"
)

// Source is a repository. The revision that it reads is on record meanwhile.
type Source struct {
	repository signing.Repository
	counter    *Counter
}

// NewSource has a counter count the fetches of a repository.
func NewSource(repository signing.Repository, counter *Counter) Source {
	return Source{repository, counter}
}

// Select gives the selected revision.
func (s Source) Select(ctx context.Context, rule gitsync.Rule) (gitsync.Revision, error) {
	return s.repository.Select(ctx, rule)
}

// Tags gives the tags that match.
func (s Source) Tags(ctx context.Context, pattern string) ([]gitsync.Tag, error) {
	return s.repository.Tags(ctx, pattern)
}

// Descends reports whether a commit is an ancestor of a newer one.
func (s Source) Descends(ctx context.Context, older, newer string) (bool, error) {
	return during(s.counter, newer, func() (bool, error) { return s.repository.Descends(ctx, older, newer) })
}

// Between lists the commits between two.
func (s Source) Between(ctx context.Context, older, newer string, in gitsync.Inputs) ([]gitsync.Commit, error) {
	return during(s.counter, newer, func() ([]gitsync.Commit, error) { return s.repository.Between(ctx, older, newer, in) })
}

// Fetch gives the files of a revision. It refuses one that ended the agent too often.
func (s Source) Fetch(ctx context.Context, revision gitsync.Revision, prefetch []string) (*gitsync.Checkout, error) {
	return during(s.counter, revision.Commit, func() (*gitsync.Checkout, error) { return s.repository.Fetch(ctx, revision, prefetch) })
}

// Gate demands signatures. A revision whose signatures are read is on record meanwhile.
type Gate struct {
	gate    *signing.Gate
	counter *Counter
}

// NewGate has a counter count what a gate reads.
func NewGate(gate *signing.Gate, counter *Counter) Gate { return Gate{gate, counter} }

// Check gives who signed a revision; "" if no signature is demanded.
func (g Gate) Check(ctx context.Context, revision gitsync.Revision) (string, error) {
	if !g.gate.Demands() {
		return "", nil
	}
	return during(g.counter, revision.Commit, func() (string, error) { return g.gate.Check(ctx, revision) })
}
