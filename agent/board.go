package agent

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/deploy"
	gitsync "coin.internal/coin-agent/sync"
)

// view is what is known of one stack at one time; its parts are replaced, never changed in
// place.
type view struct {
	desired  *gitsync.Revision
	sync     *record.Sync
	deployed *record.GoodState
	services []deploy.ServiceStatus
	drift    []deploy.Step

	rotations []inventory.Rotation
	lookError error           // of the last look
	pause     *record.Pause   // the last one, which may be over
	progress  string          // of the attempt
	rollout   *report.Rollout // while an attempt waits for services
	group     string          // why the group is not complete; see askGroup
}

// paused gives the pause that holds now, or nil.
func (v view) paused() *record.Pause {
	if v.pause == nil || v.pause.Over(time.Now()) {
		return nil
	}
	return v.pause
}

// inSync reports whether the stack runs what the repository selects.
func (v view) inSync() bool {
	return v.lookError == nil && len(v.drift) == 0 && v.desired != nil && v.sync != nil &&
		v.sync.State == record.Succeeded && v.sync.Commit == v.desired.Commit
}

// uncertain says why the live services may differ from what the state file records; "" if
// they do not.
func (v view) uncertain() string {
	switch {
	case v.sync == nil:
		return "nothing was synced yet"
	case !v.sync.Verified():
		return fmt.Sprintf("the last sync, #%d, is %s", v.sync.ID, v.sync.State)
	case len(v.drift) > 0:
		return "live services drifted: " + listSteps(v.drift)
	}
	return ""
}

// board holds what is known of one stack, for the loop and for the users. It records the
// stack's syncs.
type board struct {
	records *store.Stack
	metrics *metrics.Metrics
	log     *slog.Logger
	pulse   *pulse

	mu   sync.Mutex
	view view
}

func (b *board) update(change func(*view)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.view)
}

func (b *board) snapshot() view {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.view
}

// recall fills the board from the state file.
func (b *board) recall() error {
	deployed, err := b.records.Deployed()
	if err != nil {
		return fmt.Errorf("recall what was applied: %w", err)
	}
	pause, err := b.records.Pause()
	if err != nil {
		return fmt.Errorf("recall the pause: %w", err)
	}
	syncs, err := b.records.Syncs(2)
	if err != nil {
		return fmt.Errorf("recall the last syncs: %w", err)
	}
	b.update(func(v *view) { v.deployed, v.pause = deployed, pause })
	for i := range slices.Backward(syncs) { // the last one may not be over
		b.update(func(v *view) { v.sync = &syncs[i] })
		b.metrics.Ended(deployed, &syncs[i])
	}
	return nil
}

// Save records a sync.
func (b *board) Save(sync *record.Sync) error {
	if err := b.records.SaveSync(sync); err != nil {
		return fmt.Errorf("save sync: %w", err)
	}
	copied := sync.Copy()
	b.update(func(v *view) { v.sync = copied })
	return nil
}

// End records a sync that is over, with the good state that is deployed then.
func (b *board) End(sync *record.Sync, good *record.GoodState) error {
	if err := b.records.SaveOutcome(sync, good); err != nil {
		return fmt.Errorf("save sync: %w", err)
	}
	copied := sync.Copy()
	b.update(func(v *view) {
		if v.sync = copied; good != nil {
			v.deployed = good
		}
	})
	b.metrics.Ended(b.snapshot().deployed, sync)
	b.metrics.RolledBack(sync)
	if sync.State == record.Succeeded {
		b.log.Info("sync succeeded", "revision", record.Short(sync.Commit), "release", sync.Release, "summary", sync.Summary)
	}
	return nil
}

// Step notes that an attempt begins a step.
func (b *board) Step(name string, limit time.Duration) { b.pulse.begin(name, limit) }

// Progress shows how far an attempt is.
func (b *board) Progress(text string) {
	b.pulse.beat()
	b.update(func(v *view) { v.progress = text })
}

// Services shows the services that an attempt waits for.
func (b *board) Services(services *report.Rollout) {
	b.update(func(v *view) { v.rollout = services })
}
