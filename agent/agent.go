package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/readiness"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/secrets"
	gitsync "coin.internal/coin-agent/sync"
)

// maxBackoff bounds the wait after failed looks at the remote or the engine.
const maxBackoff = 10 * time.Minute

// source is the followed repository.
type source interface {
	Select(ctx context.Context, rule gitsync.Rule) (gitsync.Revision, error)
	Fetch(ctx context.Context, revision gitsync.Revision, prefetch []string) (*gitsync.Checkout, error)
	Descends(ctx context.Context, old, revision string) (bool, error)
}

// swarm is the engine that the stack runs on.
type swarm interface {
	Observe(ctx context.Context, stack *compose.Stack) (*deploy.Live, error)
	ObserveServices(ctx context.Context, stackName string) (*deploy.LiveServices, error)
	Resolve(ctx context.Context, live *deploy.LiveServices, want *compose.Stack) (*compose.Stack, []string, error)
	Rerun(ctx context.Context, live *deploy.LiveServices, want *compose.Stack) (*compose.Stack, error)
	Mismatched(ctx context.Context, live *deploy.Live, want *compose.Stack, known map[string]string, key []byte) ([]string, map[string]string, error)
	Apply(ctx context.Context, plan deploy.Plan, want *compose.Stack, opts deploy.ApplyOptions) error
	ScaleUp(ctx context.Context, stack string, scaledDown map[string]uint64, progress func(deploy.Event) error) error
	Verify(ctx context.Context, want *compose.Stack, options deploy.VerifyOptions) (deploy.Result, error)
	RunningJobs(ctx context.Context, stack string) ([]string, error)
	collector
}

// reports takes the commit statuses for GitLab.
type reports interface {
	Enqueue(report gitlab.Report) error
	Health() gitlab.Health
}

// Parts are what an agent works with.
type Parts struct {
	Settings  settings.Settings
	Version   string
	Log       *slog.Logger
	Source    source
	Engine    swarm
	Keys      func() (*secrets.Keyring, error) // called at each sync that decrypts
	Store     *store.Store
	Reports   reports          // nil: no statuses are sent to GitLab
	GitLab    *gitlab.Client   // nil: GitLab is not asked
	Statuses  gates.Statuses   // of the other nodes; nil: those from GitLab
	Approvals gates.Approvals  // of merge requests; nil: those from GitLab
	Exec      Execer           // runs the commands of checks; nil: they fail
	Release   readiness.Engine // what the release gates ask of the engine; nil: nothing
	Notices   Notices          // notices for people; without an outbox none are sent
	Metrics   *metrics.Metrics
	Audit     *audit.Log // of Store's folder; see OpenAudit

	Random func(n int64) int64 // gives a number below n, for the jitter of waits; nil: math/rand does
}

// Agent keeps one node's stack in sync with the repository.
type Agent struct {
	Parts
	requests chan job
	nudges   chan struct{} // look at once
	asked    chan struct{} // users asked for a look; see join.go
	ended    chan struct{} // closed when Run has ended
	stops    chan struct{} // stops a rollout that waits for its services

	records  *store.Stack      // of the stack
	fetched  *gitsync.Checkout // the last one; the loop's own
	released *released         // of the release that passed its gates last; the loop's own
	people   sync.Mutex        // admits one user's request at a time

	mu     sync.Mutex
	view   view
	joints []*joint // looks that users asked for and that have not begun
}

// job asks the loop to do something between two of its own looks.
type job struct {
	do   func(ctx context.Context) outcome
	look bool // it looks at the remote: its error counts as that of a look
	done chan outcome
}

// outcome is the result of a look at the remote.
type outcome struct {
	sync *record.Sync // nil when nothing was due
	err  error
}

// New makes an agent from its parts. The agent does nothing until Run.
func New(parts Parts) *Agent {
	a := &Agent{Parts: parts, requests: make(chan job), nudges: make(chan struct{}, 1), stops: make(chan struct{}), asked: make(chan struct{}, 1), ended: make(chan struct{})}
	if parts.Store != nil {
		a.records = parts.Store.Stack(record.OnlyStack)
	}
	a.view.started = time.Now()
	if parts.GitLab != nil && parts.Statuses == nil {
		a.Statuses = parts.GitLab
	}
	if parts.GitLab != nil && parts.Approvals == nil {
		a.Approvals = parts.GitLab
	}
	parts.Metrics.Ask(metrics.Source{
		InSync: func() bool { return a.Status().InSync }, Gates: a.gateFigures,
		Rotations: func() []inventory.Rotation { return a.snapshot().rotations },
		Undelivered: func() int {
			if parts.Reports == nil {
				return 0
			}
			return parts.Reports.Health().Undelivered
		},
	})
	return a
}

// Run looks at the remote and the engine until ctx ends: at once, then every
// interval with a tenth of jitter, later after errors. One sync runs at a time.
func (a *Agent) Run(ctx context.Context) error {
	defer close(a.ended)
	if err := a.recall(); err != nil {
		return err
	}
	failures := 0
	var asked *job
	for ctx.Err() == nil {
		failures = a.turn(ctx, asked, failures)
		asked = a.idle(ctx, a.wait(failures))
	}
	return nil
}

// turn looks once, or does what a request asks, and gives the number of failures in a
// row.
func (a *Agent) turn(ctx context.Context, asked *job, failures int) int {
	if asked == nil {
		asked = &job{look: true, done: make(chan outcome, 1), do: func(ctx context.Context) outcome {
			return a.lookOn(ctx, cause{trigger: record.OnCommit}, func(string) {})
		}}
	}
	a.step("look", stepLimit)
	result := asked.do(ctx)
	a.restoreScaledDown(ctx)
	if asked.look && ctx.Err() == nil {
		err := result.err
		if errors.As(err, new(pinnedError)) || errors.Is(err, errStopped) {
			err = nil // the look succeeded
		}
		failures = a.afterLook(err, failures)
	}
	asked.done <- result
	return failures
}

// lookOn looks, and looks again at once while a newer commit supersedes the sync that it
// began.
func (a *Agent) lookOn(ctx context.Context, cause cause, progress func(string)) outcome {
	for {
		result := a.look(ctx, cause, progress)
		if !errors.Is(result.err, errSuperseded) || ctx.Err() != nil {
			return result
		}
	}
}

// afterLook counts failures in a row and logs the first of its kind.
func (a *Agent) afterLook(err error, failures int) int {
	if err == nil {
		a.update(func(v *view) { v.pollError, v.lastLook = nil, time.Now() })
		return 0
	}
	a.Metrics.PollFailed()
	previous := a.snapshot().pollError
	if previous == nil || previous.Error() != err.Error() {
		a.Log.Warn("cannot look at the repository or the engine", "error", err.Error())
	}
	a.update(func(v *view) { v.pollError, v.lastLook = err, time.Now() })
	return failures + 1
}

// wait is the time to the next look: the interval, doubled for each failure in
// a row, give or take a tenth.
func (a *Agent) wait(failures int) time.Duration {
	wait := a.Settings.Interval
	for range min(failures, 10) {
		wait = min(2*wait, max(maxBackoff, a.Settings.Interval))
	}
	tenth := int64(wait / 10)
	random := a.Random
	if random == nil {
		random = rand.Int64N
	}
	return wait + time.Duration(random(2*tenth+1)-tenth)
}

// idle waits until the next look is due, a request arrives, which it gives, or ctx ends.
func (a *Agent) idle(ctx context.Context, wait time.Duration) *job {
	a.update(func(v *view) { v.nextPoll, v.step = time.Now().Add(wait), step{} })
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-a.nudges:
	case asked := <-a.requests:
		return &asked
	case <-a.asked:
		return a.takeJoint()
	}
	return nil
}

// nudge has the loop look at once, or again when it is busy.
func (a *Agent) nudge() {
	select {
	case a.nudges <- struct{}{}:
	default: // it will look anyway
	}
}

// inLoop has the loop do something, and waits for its end.
func (a *Agent) inLoop(ctx context.Context, look bool, do func(context.Context) outcome) outcome {
	return a.hand(ctx, job{do: do, look: look, done: make(chan outcome, 1)}, nil)
}

// hand gives the loop a request and waits for its end. If stops is set, it also asks the
// running rollout to stop.
func (a *Agent) hand(ctx context.Context, asked job, stops chan<- struct{}) outcome {
	for taken := false; !taken; {
		select {
		case <-ctx.Done():
			return outcome{err: ctx.Err()}
		case <-a.ended:
			return outcome{err: context.Canceled}
		case stops <- struct{}{}:
		case a.requests <- asked:
			taken = true
		}
	}
	select {
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	case result := <-asked.done:
		return result
	}
}

// Sync asks the running loop for a sync now, for an actor, and waits for it. A held
// revision is tried again.
func (a *Agent) Sync(ctx context.Context, actor audit.Actor, progress func(string)) (*record.Sync, error) {
	result := a.askSync(ctx, cause{trigger: record.OnRequest, actor: actor}, progress)
	return result.sync, result.err
}

// Once makes one sync without a loop, for the user of this process.
func (a *Agent) Once(ctx context.Context, progress func(string)) (*record.Sync, error) {
	if err := a.recall(); err != nil {
		return nil, err
	}
	result := a.lookOn(ctx, cause{trigger: record.OnRequest, actor: audit.Self()}, progress)
	a.restoreScaledDown(ctx)
	return result.sync, result.err
}

// recall fills the view from the state file.
func (a *Agent) recall() error {
	applied, err := a.records.Deployed()
	if err != nil {
		return fmt.Errorf("recall what was applied: %w", err)
	}
	pause, err := a.records.Pause()
	if err != nil {
		return fmt.Errorf("recall the pause: %w", err)
	}
	a.update(func(v *view) { v.pause = pause })
	syncs, err := a.records.Syncs(2)
	if err != nil {
		return fmt.Errorf("recall the last syncs: %w", err)
	}
	for i := range slices.Backward(syncs) {
		a.update(func(v *view) { v.deployed, v.sync = applied, &syncs[i] })
		a.Metrics.Ended(applied, &syncs[i])
	}
	return nil
}

// errRewritten refuses a branch whose history was rewritten.
var errRewritten = errors.New("the branch's history was rewritten: the new commit does not descend from the one that was synced last")
