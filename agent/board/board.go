// Package board takes what the loop and the attempts find out about one stack, and gives
// it to the loop, to users and to the metrics. It records the stack's syncs: what it shows
// of a sync is in the state file, apart from the stages that change nothing.
package board

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/deploy"
	gitsync "coin.internal/coin-agent/sync"
)

// records are the records of the stack.
type records interface {
	Deployed() (*record.GoodState, error)
	Pause() (*record.Pause, error)
	LatestSync(is func(*record.Sync) bool) (*record.Sync, error)
	SaveOutcome(sync *record.Sync, good *record.GoodState) error
}

// pulse notes the progress of the loop.
type pulse interface {
	Begin(step string, limit time.Duration)
	Beat()
}

// View is what is known of one stack at one time; its parts are replaced, never changed in
// place.
type View struct {
	Desired  *gitsync.Revision
	Last     *record.Sync
	Deployed *record.GoodState
	Services []deploy.ServiceStatus
	Observed time.Time      // when they were read last
	Reading  bool           // the engine is being asked for them
	Unread   error          // why the last reading of them failed
	Health   health.Verdict // of them
	Drift    []deploy.Step
	Contests []drift.Contest  // of the drift
	Ignored  []deploy.Ignored // fields that another process may change

	Forbidden error // why the drift is not corrected; nil if it is, or need not be
	Rotations []inventory.Rotation
	Ages      []inventory.Age // of the stack's secrets
	LookError error           // of the last look
	Tags      []string        // what a user has to know about tags that are not followed
	Pause     *record.Pause   // the last one, which may be over
	Progress  string          // of the attempt
	Rollout   *report.Rollout // while an attempt waits for services
	Group     string          // why the group is not complete
	Held      string          // why the removal of the stack waits
}

// Stack gives the name of the stack in the engine; "" before it is known.
func (v View) Stack() string { return report.StackOf(v.Last, v.Deployed) }

// Judged gives the health of the services; nil if no look has judged those that are deployed now.
func (v View) Judged() *health.Verdict {
	if v.Health.State == "" || v.Deployed != nil && v.Observed.Before(v.Deployed.At) {
		return nil
	}
	return &v.Health
}

// Saw notes what a look saw of the services. The health of those that ran before the deployed good
// state is forgotten: the look judges it anew, after it has read their tasks.
func (v *View) Saw(services []deploy.ServiceStatus, drift []deploy.Step, ignored []deploy.Ignored) {
	if v.Judged() == nil {
		v.Health = health.Verdict{}
	}
	v.Services, v.Drift, v.Ignored, v.Observed = services, drift, ignored, time.Now()
}

// Base gives what an attempt begins from.
func (v View) Base() rollout.Base { return rollout.Base{Last: v.Last, Deployed: v.Deployed} }

// Paused gives the pause that holds now, or nil.
func (v View) Paused() *record.Pause {
	if v.Pause == nil || v.Pause.Over(time.Now()) {
		return nil
	}
	return v.Pause
}

// Waits reports whether the last commit waits at a gate.
func (v View) Waits() bool { return v.Last != nil && v.Last.State == record.Waiting }

// InSync reports whether the stack runs what the repository selects.
func (v View) InSync() bool {
	return v.LookError == nil && len(v.Drift) == 0 && v.Desired != nil && v.Last != nil &&
		v.Last.State == record.Succeeded && v.Last.Commit == v.Desired.Commit
}

// Working reports whether an attempt writes, or waits for services. It looks at services
// itself.
func (v View) Working() bool { return v.Progress != "" || v.Rollout != nil }

// Started gives when the last sync began, and whether an attempt works now.
func (v View) Started() (last time.Time, working bool) {
	if v.Last != nil {
		last = v.Last.Started
	}
	return last, v.Working()
}

// Uncertain says why the live services may differ from what the state file records; "" if
// they do not.
func (v View) Uncertain() string {
	switch {
	case v.Last == nil:
		return "nothing was synced yet"
	case !v.Last.Verified():
		return fmt.Sprintf("the state of the last sync, #%d, is %s", v.Last.ID, v.Last.State)
	case len(v.Drift) > 0:
		return "live services drifted: " + strings.Join(StepNames(v.Drift), ", ")
	}
	return ""
}

// Gates says whether the stack is paused, and which gates a rollout waits for, since when.
func (v View) Gates() (paused bool, waiting []record.Gate) {
	if v.Last != nil && v.Last.State == record.Waiting {
		for _, gate := range v.Last.Gates {
			if gate.Waiting != "" {
				waiting = append(waiting, gate)
			}
		}
	}
	return v.Paused() != nil, waiting
}

// Board holds what is known of one stack.
type Board struct {
	Name    string // of the stack; "" for the only one of the node
	Records records
	Metrics *metrics.Stack
	Log     *slog.Logger
	Pulse   pulse
	Events  publisher // nil: there are no readers

	mu   sync.Mutex
	view View
}

// Update changes what is known.
func (b *Board) Update(change func(*View)) {
	b.mu.Lock()
	before := b.view
	change(&b.view)
	after := b.view
	b.mu.Unlock()
	b.tell(before, after)
}

// Snapshot gives what is known now.
func (b *Board) Snapshot() View {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.view
}

// Recall fills the board from the state file, which readers of events are not told.
func (b *Board) Recall() error {
	deployed, err := b.Records.Deployed()
	if err != nil {
		return fmt.Errorf("recall what was applied: %w", err)
	}
	pause, err := b.Records.Pause()
	if err != nil {
		return fmt.Errorf("recall the pause: %w", err)
	}
	last, err := b.Records.LatestSync(func(*record.Sync) bool { return true })
	if err != nil {
		return fmt.Errorf("recall the last sync: %w", err)
	}
	ended, err := b.Records.LatestSync(record.Ended)
	if err != nil {
		return fmt.Errorf("recall the last outcome: %w", err)
	}
	b.Metrics.Ended(deployed, ended)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.view.Deployed, b.view.Pause = record.GatherGood(deployed), pause
	if last != nil {
		b.view.Last = record.GatherSync(last)
	}
	return nil
}

// Show shows a sync that is on record as it goes on, without a write.
func (b *Board) Show(sync *record.Sync) {
	copied := sync.Copy()
	b.Update(func(v *View) { v.Last = copied })
}

// Save records a sync.
func (b *Board) Save(sync *record.Sync) error { return b.save(sync, nil) }

// save records a sync, with the good state that is deployed then unless that is nil.
func (b *Board) save(sync *record.Sync, good *record.GoodState) error {
	if err := b.Records.SaveOutcome(sync, good); err != nil {
		return fmt.Errorf("save sync: %w", err)
	}
	copied, kept := sync.Copy(), record.GatherGood(good)
	if sync.State.Final() {
		copied = record.GatherSync(copied)
	}
	b.Update(func(v *View) {
		if v.Last = copied; kept != nil {
			v.Deployed = kept
		}
	})
	return nil
}

// End records a sync that is over, with the good state that is deployed then.
func (b *Board) End(sync *record.Sync, good *record.GoodState) error {
	if err := b.save(sync, good); err != nil {
		return err
	}
	b.Metrics.Ended(b.Snapshot().Deployed, sync)
	if sync.State == record.Succeeded {
		b.Log.Info("sync succeeded", "revision", record.Short(sync.Commit), "release", sync.Release, "summary", sync.Summary)
	}
	return nil
}

// Step notes that an attempt begins a step.
func (b *Board) Step(name string, limit time.Duration) { b.Pulse.Begin(name, limit) }

// Progress shows how far an attempt is.
func (b *Board) Progress(text string) {
	b.Pulse.Beat()
	b.Update(func(v *View) { v.Progress = text })
}

// Services shows the services that an attempt waits for.
func (b *Board) Services(services *report.Rollout) {
	b.Update(func(v *View) { v.Rollout = services })
}

// StepNames gives the names of the objects of steps.
func StepNames(steps []deploy.Step) []string {
	names := make([]string, 0, len(steps))
	for _, step := range steps {
		names = append(names, step.Name)
	}
	return names
}
