package agent

import (
	"context"
	"errors"
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// errOvertaken ends a sync that a newer commit has overtaken; the next look, at
// once, supersedes it.
var errOvertaken = errors.New("a newer commit has overtaken this one")

// watchRemote goes on looking at the remote while a sync waits for its services,
// and cancels the waiting when a newer commit changes what this node reads. A job that
// is at work is left to its end, or to the end of its time: to stop a migration half way
// does more harm than a fix that comes later. So is a rollout that the newer commit
// would leave as it is, neither proven nor taken back, for as long as a gate holds that.
func (r *reconcile) watchRemote(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(r.Settings.Interval)
	defer tick.Stop()
	seen := r.sync.Commit
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		revision, err := r.Source.Select(ctx, r.Settings.Rule())
		if err != nil || revision.Commit == seen {
			continue // a remote that is gone is the next look's to report
		}
		checkout, err := r.Source.Fetch(ctx, revision, r.Settings.Paths())
		if err != nil {
			continue
		}
		if checkout.Same(r.checkout.Inputs()) {
			seen = revision.Commit
			continue
		}
		if r.held(checkout) {
			continue
		}
		if jobs, err := r.Engine.RunningJobs(ctx, r.stack.Name); err == nil && len(jobs) == 0 {
			cancel(errOvertaken)
			return
		}
	}
}

// held reports whether a gate would hold a newer revision, as far as that is known without
// a plan. One that cannot be read is not held: it fails, and takes back what was begun.
func (r *reconcile) held(checkout *gitsync.Checkout) bool {
	config, err := manifests.LoadConfig(checkout.FS, r.Settings.Environment)
	return err == nil && gates.HoldsNewer(r.gates(), config)
}
