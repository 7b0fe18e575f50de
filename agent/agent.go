// Package agent is the loop: it takes a schedule and users' requests, and has one state
// machine for each stack observe, decide and act, one after the other. It guarantees that
// every step that changes something is in the state file before it is taken, so that an agent that is killed at
// any point continues to the same end.
package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/desk"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/pace"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/pulse"
	"coin.internal/coin-agent/agent/reading"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/agent/roster"
	"coin.internal/coin-agent/agent/selection"
	"coin.internal/coin-agent/agent/services"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/secrets"
	gitsync "coin.internal/coin-agent/sync"
)

// Agent keeps the stacks of one node in sync with the repository.
type Agent struct {
	parts    *Parts
	roster   *roster.Roster[*stack]
	daemon   *desk.Daemon // what the stacks have in common
	opened   secrets.Memory
	live     *drift.Shared
	sum      *publish.Sum // of several stacks; nil: no statuses are sent to GitLab
	agreed   *roster.Agreement
	remote   *selection.Shared
	pulse    *pulse.Pulse
	started  time.Time
	nudges   chan struct{} // look at once
	lookout  *services.Lookout
	readings *reading.Counter
	due      time.Time     // when the next look is; zero until that is known
	queue    *desk.Queue   // what users asked for
	ended    chan struct{} // closed when Run has ended

	running   context.Context // of Run; nil before
	followers sync.WaitGroup  // what runs beside the loop
}

// New makes an agent from its parts. The agent does nothing until Run.
func New(parts Parts) *Agent {
	parts.complete()
	ended := make(chan struct{})
	read := reading.New(parts.Store, parts.Log)
	parts.Source = reading.NewSource(parts.Source, read)
	a := &Agent{
		parts: &parts, readings: read, started: time.Now(), pulse: &pulse.Pulse{}, agreed: &roster.Agreement{Settings: &parts.Settings},
		remote: &selection.Shared{Remote: selection.NewRemote(parts.Source, parts.Settings.Rule()), Files: parts.Source, Gate: reading.NewGate(parts.gate, read), Paths: parts.Settings.Paths()},
		nudges: make(chan struct{}, 1), queue: desk.NewQueue(ended), ended: ended,
	}
	a.roster = roster.New(roster.Parts[*stack]{
		Settings: &parts.Settings, Store: parts.Store.Lists(), Reading: read, Log: parts.Log,
		Make: func(key record.StackKey) *stack { return newStack(a, key) }, Joins: a.follow, Leaves: (*stack).retire,
	})
	a.daemon, a.live = newDaemon(a), &drift.Shared{Engine: parts.Engine, Stacks: a.roster.InSwarm}
	a.lookout = &services.Lookout{Stacks: func() []*services.Watch { return watches(a.roster.Stacks()) }, Tasks: parts.Tasks, Live: a.live, Deaths: make(chan struct{}, 1)}
	if parts.Reports != nil {
		a.sum = &publish.Sum{Name: gates.StatusName(parts.Settings.Environment, parts.Settings.Node), Statuses: parts.Reports, Stacks: a.names}
	}
	a.roster.Begin()
	return a
}

// watches gives what reads the services of the stacks.
func watches(stacks []*stack) (all []*services.Watch) {
	for _, s := range stacks {
		all = append(all, s.services)
	}
	return all
}

// Run looks at the remote and the engine until ctx ends: at once or after Parts.FirstLook, then
// every interval with a tenth of jitter, later after errors. One sync runs at a time.
func (a *Agent) Run(ctx context.Context) error {
	defer close(a.ended)
	if err := a.recall(); err != nil {
		return err
	}
	a.running = ctx
	defer a.followers.Wait()
	a.followers.Go(func() { a.lookout.Follow(ctx) })
	for _, s := range a.roster.Stacks() {
		a.follow(s)
	}
	if first := a.parts.FirstLook; first > 0 {
		a.due = time.Now().Add(first)
		a.pulse.Rest(first)
	} else {
		a.turn(ctx)
		survey(ctx, a)
		a.rest()
	}
	for ctx.Err() == nil {
		a.idle(ctx)
	}
	return nil
}

// recall fills the boards from the state file.
func (a *Agent) recall() error {
	if err := a.readings.Recall(); err != nil {
		return fmt.Errorf("recall the revision that was read: %w", err)
	}
	for _, s := range a.roster.All() {
		if err := s.Recall(); err != nil {
			return err
		}
	}
	return nil
}

// follow has a stack show the plans of merge requests, until it leaves the list or the loop
// ends.
func (a *Agent) follow(s *stack) {
	if a.running == nil {
		return // Run does it
	}
	ctx, leave := context.WithCancel(a.running)
	s.leave = leave
	a.followers.Go(func() { s.plans.Run(ctx) })
}

// errAnew ends a look because the turn begins anew: the commit lists other stacks than the one
// before, or is newer than the one that the stacks before this one have taken.
var errAnew = errors.New("the turn begins anew")

// takeList takes the list of stacks from a fetched commit. It gives errAnew if that is another one.
func (a *Agent) takeList(ctx context.Context, checkout *gitsync.Checkout) error {
	changed, err := a.roster.Take(ctx, checkout)
	if err == nil && changed {
		return errAnew
	}
	return err
}

// mostAnew bounds how often a turn begins anew: stacks may follow tags with different lists.
const mostAnew = 5

// turn looks at each stack once, in the order of the list. If the commit lists other stacks, the
// turn begins anew with those.
func (a *Agent) turn(ctx context.Context) {
	ctx = deploy.AskOnce(ctx)
	a.remote.Forget()
	a.opened.Begin()
	defer a.opened.Wipe()
	relisted := true
	for anew := 0; relisted && anew <= mostAnew && ctx.Err() == nil; anew++ {
		relisted = false
		a.live.Begin()
		for _, s := range a.roster.Stacks() {
			done := a.lookAt(ctx, s, rollout.Cause{Trigger: record.OnCommit}, func(string) {})
			if relisted = errors.Is(done.Err, errAnew); relisted {
				break
			}
		}
	}
	a.live.End()
	for _, s := range a.roster.Left() {
		s.settle(ctx)
	}
	prune(ctx, a)
	a.due = time.Time{}
}

// lookAt looks at a stack.
func (a *Agent) lookAt(ctx context.Context, s *stack, why rollout.Cause, progress func(string)) rollout.Outcome {
	result := a.do(ctx, s, func(ctx context.Context) rollout.Outcome { return s.lookOn(ctx, why, progress) })
	if ctx.Err() == nil {
		s.looked(result.Err)
		a.pulse.Looked()
	}
	return result
}

// do does something for a stack, restores the cron services that it left scaled down, and looks
// at the stacks that had to wait for it.
func (a *Agent) do(ctx context.Context, s *stack, do func(context.Context) rollout.Outcome) rollout.Outcome {
	a.pulse.Begin(pulse.Look, rollout.StepLimit)
	result := do(ctx)
	s.rollouts.RestoreCron(ctx, s.board.Snapshot().Last)
	a.parts.auditMoved()
	s.plans.Look()
	a.lookout.CatchUp(ctx)
	return result
}

// holdPlans holds the plans of merge requests of all stacks.
func holdPlans(stacks []*stack) (release func()) {
	var all []func()
	for _, s := range stacks {
		all = append(all, s.plans.Hold())
	}
	return func() {
		for _, release := range all {
			release()
		}
	}
}

// rest begins the wait for the next look. A request can bring it forward, not put it off: it is
// for one stack, and the look is at all of them.
func (a *Agent) rest() {
	failures := 0
	for _, s := range a.roster.Stacks() {
		failures = max(failures, s.failures)
	}
	next := time.Now().Add(pace.Pace{Interval: a.parts.Settings.Interval, Random: a.parts.Random}.Next(failures))
	if a.due.IsZero() || next.Before(a.due) {
		a.due = next
	}
	a.pulse.Rest(max(0, time.Until(a.due)))
	if a.parts.Rested != nil {
		a.parts.Rested()
	}
}

// idle waits until the next look is due, a request arrives, or ctx ends, and does what is
// due. Deaths of containers, and peeks after failures, leave the next look as it is.
func (a *Agent) idle(ctx context.Context) {
	wait := time.Until(a.due)
	peeks := wait > a.parts.Settings.Interval*3/2
	if peeks {
		wait = a.parts.Settings.Interval
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-a.lookout.Deaths:
		a.lookout.LookAtDeaths(ctx)
		return
	case <-ctx.Done():
	case <-timer.C:
		if peeks {
			if a.lookout.Peek(ctx) {
				a.Look()
			}
			return
		}
		a.turn(ctx)
	case <-a.nudges:
		a.turn(ctx)
	case job := <-a.queue.Jobs():
		release := holdPlans(a.roster.Stacks())
		job.Run(ctx)
		release()
	case <-a.queue.Asked():
		if look := a.queue.Take(); look != nil {
			look.Run(ctx)
		}
	}
	survey(ctx, a)
	a.rest()
}

// survey looks at the versions of secrets and configs for the stacks that expect it, with one read
// of the engine.
func survey(ctx context.Context, a *Agent) {
	stock := &inventory.Stock{Engine: a.parts.Engine}
	for _, s := range a.roster.Stacks() {
		s.keeper.Settle(ctx, stock)
	}
}

// Look has the loop look at the remote at once, or again when it is busy. It does not wait.
func (a *Agent) Look() {
	select {
	case a.nudges <- struct{}{}:
	default:
	}
}
