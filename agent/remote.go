package agent

import (
	"context"

	"coin.internal/coin-agent/agent/selection"
	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

// source is the followed repository.
type source interface {
	Select(ctx context.Context, rule gitsync.Rule) (gitsync.Revision, error)
	Tags(ctx context.Context, pattern string) ([]gitsync.Tag, error)
	Fetch(ctx context.Context, revision gitsync.Revision, prefetch []string) (*gitsync.Checkout, error)
	Descends(ctx context.Context, old, revision string) (bool, error)
	Between(ctx context.Context, older, newer string, in gitsync.Inputs) ([]gitsync.Commit, error)
}

// remote asks the followed repository once for all stacks that look at it in a row. Only
// the loop uses it.
type remote struct {
	source   source
	gate     *signing.Gate // in front of source
	readings *readings
	selects  *selection.Remote
	paths    []string
	asked    bool // since forget
	refs     selection.Refs
	err      error
	fetched  *gitsync.Checkout
	fresh    bool // it was fetched since forget
}

// forget has the next look ask again.
func (r *remote) forget() { r.asked, r.fresh = false, false }

// list gives what the remote offers.
func (r *remote) list(ctx context.Context) (selection.Refs, error) {
	if !r.asked {
		r.refs, r.err = r.selects.List(ctx)
		r.asked = true
	}
	return r.refs, r.err
}

// choose gives the revision that a stack follows, and what a user has to know about other
// tags.
func (r *remote) choose(ctx context.Context, on selection.Record) (gitsync.Revision, []string, error) {
	refs, err := r.list(ctx)
	if err != nil {
		return gitsync.Revision{}, nil, err
	}
	return r.selects.Choose(ctx, refs, on)
}

// fetch loads a revision's files into memory, and gives who signed it. keep says that files
// of the same revision may be used again, such as those of a sync that waits.
func (r *remote) fetch(ctx context.Context, revision gitsync.Revision, keep bool) (checkout *gitsync.Checkout, signer string, err error) {
	// The keys may have changed since it was fetched.
	if signer, err = r.signed(ctx, revision); err != nil {
		return nil, "", err
	}
	if (keep || r.fresh) && r.fetched != nil && r.fetched.Revision.Commit == revision.Commit && r.fetched.Revision.Ref == revision.Ref {
		return r.fetched, signer, nil
	}
	checkout, err = r.source.Fetch(ctx, revision, r.paths)
	r.fetched, r.fresh = checkout, true
	return checkout, signer, err
}

// signed gives who signed a revision. The signatures are read like the files.
func (r *remote) signed(ctx context.Context, revision gitsync.Revision) (string, error) {
	if !r.gate.Demands() {
		return "", nil
	}
	return during(r.readings, revision.Commit, func() (string, error) { return r.gate.Check(ctx, revision) })
}

// refuseUnproven ends a sync that was interrupted, and whose tag is gone: its signature is not
// kept, and no later look can read it.
func refuseUnproven(revision gitsync.Revision) error {
	return signing.Refuse(fault.New(fault.Place{}, "push the signed tag again, then run `agent retry`; or roll back: `agent rollback`",
		"tag %s was deleted or moved before its rollout ended, so its signature cannot be verified again", revision.Ref))
}
