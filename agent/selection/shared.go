package selection

import (
	"context"
	"sync"

	"coin.internal/coin-agent/agent/decision"
	gitsync "coin.internal/coin-agent/sync"
)

// fetcher gives the files of a revision.
type fetcher interface {
	Fetch(ctx context.Context, revision gitsync.Revision, prefetch []string) (*gitsync.Checkout, error)
}

// gate gives who signed a revision.
type gate interface {
	Check(ctx context.Context, revision gitsync.Revision) (who string, err error)
}

// Shared asks the followed repository once for all stacks that look at it in a row. Only the
// loop uses it.
type Shared struct {
	Remote *Remote
	Files  fetcher
	Gate   gate // in front of Files
	Paths  []string

	asked   bool // since Forget
	refs    Refs
	err     error
	fetched *gitsync.Checkout
	fresh   bool   // it was fetched since Forget
	early   *early // nil without a fetch that nothing has asked for yet
}

// early is the outcome of a fetch that was made while the remote was asked about the history.
type early struct {
	of       gitsync.Revision
	checkout *gitsync.Checkout
	signer   string
	err      error
}

// Forget has the next look ask again.
func (s *Shared) Forget() { s.asked, s.fresh, s.early = false, false, nil }

// List gives what the remote offers.
func (s *Shared) List(ctx context.Context) (Refs, error) {
	if !s.asked {
		s.refs, s.err = s.Remote.List(ctx)
		s.asked = true
	}
	return s.refs, s.err
}

// Choose gives the revision that a stack follows, and what a user has to know about other
// tags.
func (s *Shared) Choose(ctx context.Context, on Record) (gitsync.Revision, []string, error) {
	refs, err := s.List(ctx)
	if err != nil {
		return gitsync.Revision{}, nil, err
	}
	return s.Remote.Choose(ctx, refs, on)
}

// Lineage gives how the selected revision relates to the last commit. If the remote has to be asked,
// the revision is fetched meanwhile: nearly all follow the last commit, and are fetched next.
func (s *Shared) Lineage(ctx context.Context, last string, selected gitsync.Revision) (decision.Lineage, error) {
	s.early = nil
	if s.Remote.relates(last, selected.Commit) {
		return s.Remote.Lineage(ctx, last, selected)
	}
	made := &early{of: selected}
	var fetching sync.WaitGroup
	fetching.Go(func() { made.checkout, made.signer, made.err = s.Fetch(ctx, selected, false) })
	lineage, err := s.Remote.Lineage(ctx, last, selected)
	fetching.Wait()
	if lineage == decision.Follows && err == nil {
		s.early = made
	}
	return lineage, err
}

// Fetch loads a revision's files into memory, and gives who signed it. keep says that files
// of the same revision may be used again, such as those of a sync that waits.
func (s *Shared) Fetch(ctx context.Context, revision gitsync.Revision, keep bool) (checkout *gitsync.Checkout, signer string, err error) {
	if made := s.early; made != nil && made.of == revision {
		s.early = nil
		return made.checkout, made.signer, made.err
	}
	// The keys may have changed since it was fetched.
	if signer, err = s.Gate.Check(ctx, revision); err != nil {
		return nil, "", err
	}
	if (keep || s.fresh) && s.fetched != nil && s.fetched.Revision.Commit == revision.Commit && s.fetched.Revision.Ref == revision.Ref {
		return s.fetched, signer, nil
	}
	checkout, err = s.Files.Fetch(ctx, revision, s.Paths)
	s.fetched, s.fresh = checkout, true
	return checkout, signer, err
}
