package agent

import (
	"context"
	"errors"
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// errSuperseded ends a sync because of a newer commit. The next look follows at once and
// supersedes the sync.
var errSuperseded = errors.New("superseded by a newer commit")

// watchRemote looks at the remote while a sync waits for its services, and cancels the
// wait when a newer commit changes what this node reads. A running job is left to its end
// or its timeout: to stop a migration midway does more harm than a later fix. The wait
// also continues while a gate would hold the newer commit: otherwise unverified changes
// would stay deployed until the gate opens.
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
			continue // the next look reports a remote that does not answer
		}
		checkout, err := r.Source.Fetch(ctx, revision, r.Settings.Paths())
		if err != nil {
			continue
		}
		if checkout.Same(r.checkout.Inputs()) {
			seen = revision.Commit
			continue
		}
		if r.waitsAtGate(checkout) {
			continue
		}
		if jobs, err := r.Engine.RunningJobs(ctx, r.stack.Name); err == nil && len(jobs) == 0 {
			cancel(errSuperseded)
			return
		}
	}
}

// waitsAtGate reports whether a gate would hold a newer revision, as far as that is known
// without a plan. It gives false for a revision that cannot be read: its sync fails, and
// rolls back what was begun.
func (r *reconcile) waitsAtGate(checkout *gitsync.Checkout) bool {
	config, err := manifests.LoadConfig(checkout.FS, r.Settings.Environment)
	return err == nil && gates.HoldsNewer(r.gates(), config)
}
