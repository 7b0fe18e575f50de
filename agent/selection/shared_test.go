package selection_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/decision"
	"coin.internal/coin-agent/agent/selection"
	gitsync "coin.internal/coin-agent/sync"
)

// slow is a repository that says how commits relate only once one was fetched.
type slow struct {
	descends func(older, newer string) bool
	fetchErr error
	begun    chan struct{} // has one entry for each fetch
	fetches  int           // counted after Lineage only
}

func (s *slow) Select(context.Context, gitsync.Rule) (gitsync.Revision, error) {
	return gitsync.Revision{}, nil
}
func (s *slow) Tags(context.Context, string) ([]gitsync.Tag, error)             { return nil, nil }
func (s *slow) Check(context.Context, gitsync.Revision) (who string, err error) { return "ann", nil }

func (s *slow) Descends(ctx context.Context, older, newer string) (bool, error) {
	select {
	case <-s.begun:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	s.begun <- struct{}{} // for the other direction
	return s.descends(older, newer), nil
}

func (s *slow) Fetch(_ context.Context, revision gitsync.Revision, _ []string) (*gitsync.Checkout, error) {
	s.fetches++
	s.begun <- struct{}{}
	if s.fetchErr != nil {
		return nil, s.fetchErr
	}
	return &gitsync.Checkout{Revision: revision}, nil
}

// TestFetchedMeanwhile wants a commit to be fetched while the remote is asked how it relates to the
// last one, and once only: also if the fetch fails.
func TestFetchedMeanwhile(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		descends func(older, newer string) bool
		fetchErr error
		want     decision.Lineage
		fetches  int // of two looks in a row, the second of which asks again
	}{
		"follows":           {func(older, _ string) bool { return older == "old" }, nil, decision.Follows, 2},
		"cannot be fetched": {func(older, _ string) bool { return older == "old" }, broken, decision.Follows, 2},
		"diverged":          {func(string, string) bool { return false }, nil, decision.Diverged, 1},
		"behind":            {func(older, _ string) bool { return older == "new" }, nil, decision.Behind, 1},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			from := &slow{descends: test.descends, fetchErr: test.fetchErr, begun: make(chan struct{}, 10)}
			shared := selection.Shared{Remote: selection.NewRemote(from, gitsync.Rule{Branch: "master"}), Files: from, Gate: from}
			for range 2 {
				revision := gitsync.Revision{Commit: "new", Ref: "master"}
				shared.Forget()
				lineage, err := shared.Lineage(ctx, "old", revision)
				if err != nil || lineage != test.want {
					t.Fatalf("%s, %v", lineage, err)
				}
				if lineage != decision.Follows {
					continue
				}
				checkout, signer, err := shared.Fetch(ctx, revision, false)
				if !errors.Is(err, test.fetchErr) || err == nil && (checkout.Revision != revision || signer != "ann") {
					t.Errorf("fetched %+v, signed by %q, %v", checkout, signer, err)
				}
			}
			if from.fetches != test.fetches {
				t.Errorf("%d fetches", from.fetches)
			}
		})
	}
}
