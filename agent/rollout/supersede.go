package rollout

import (
	"context"
	"errors"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

var (
	// ErrSuperseded ends an attempt because of a newer commit. The next look follows at once
	// and supersedes the sync.
	ErrSuperseded = errors.New("superseded by a newer commit")
	// ErrStopped ends an attempt because a user requests a rollback.
	ErrStopped error = fault.New(fault.Place{}, "`agent status` shows the rollback", "stopped: a rollback was requested")
)

// watch is what a rollout looks at while it waits for services.
type watch struct {
	use      *Parts
	checkout *gitsync.Checkout // that is rolled out
	stack    string
	deployed *record.GoodState // that a newer commit is judged by; nil for none
	gates    []gates.Gate      // some of which may hold a newer commit
}

// unlessSuperseded waits until the wait ends, a newer commit concerns this node, or a
// user requests a rollback: neither has to wait for a rollout that it replaces.
func (w watch) unlessSuperseded(ctx context.Context, wait func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watchers sync.WaitGroup
	watchers.Go(func() { w.remote(ctx, cancel) })
	watchers.Go(func() {
		select {
		case <-ctx.Done():
		case <-w.use.Stops:
			cancel(ErrStopped)
		}
	})
	err := wait(ctx)
	cause := context.Cause(ctx)
	cancel(nil)
	watchers.Wait() // neither outlives the attempt
	if err != nil && (errors.Is(cause, ErrSuperseded) || errors.Is(cause, ErrStopped)) {
		return cause
	}
	return err
}

// remote looks at the remote while a sync waits for its services, and cancels the
// wait when a newer commit changes what this node reads. A running job is left to its end
// or its timeout: to stop a migration midway does more harm than a later fix. The wait
// also continues while a gate would hold the newer commit: otherwise unverified changes
// would stay deployed until the gate opens.
func (w watch) remote(ctx context.Context, cancel context.CancelCauseFunc) {
	use := w.use
	tick := time.NewTicker(use.Settings.Interval)
	defer tick.Stop()
	seen := w.checkout.Revision.Commit
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		revision, err := use.Select(ctx)
		if err != nil || revision.Commit == seen {
			continue // the next look reports a remote that does not answer
		}
		checkout, err := use.Remote.Fetch(ctx, revision, use.Settings.Paths())
		if err != nil {
			continue
		}
		if checkout.Same(w.checkout.Inputs()) {
			seen = revision.Commit
			continue
		}
		if w.waitsAtGate(ctx, checkout) {
			continue
		}
		if jobs, err := use.Engine.Jobs(ctx, w.stack); err == nil && len(jobs.Running) == 0 {
			cancel(ErrSuperseded)
			return
		}
	}
}

// waitsAtGate reports whether a gate would hold a newer revision, as far as that is known
// without a plan. It gives false for a revision that cannot be read in the time of the stage
// load: its sync fails, and rolls back what was begun.
func (w watch) waitsAtGate(ctx context.Context, checkout *gitsync.Checkout) bool {
	use := w.use
	limited, cancel := context.WithTimeout(ctx, use.Settings.Limits.OrDefault().LoadTime)
	defer cancel()
	if use.Reading.Begin(checkout.Revision.Commit) != nil {
		return false
	}
	judges, fsys := use.judges(w.deployed), checkout.FS
	holds, err := apart.Do(limited, func() (bool, error) {
		config, err := manifests.LoadConfig(fsys, use.Node.Environment)
		return err == nil && gates.HoldsNewer(w.gates, judges.InForce(config)), err
	}, nil)
	if endErr := use.Reading.End(); endErr != nil {
		use.Log.Error("cannot save state", "error", endErr)
	}
	return err == nil && holds
}
