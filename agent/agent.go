// Package agent is the loop: it takes a schedule and users' requests, and has one state
// machine for each stack observe, decide and act, one after the other. It guarantees that
// every step is in the state file before it is taken, so that an agent that is killed at
// any point continues to the same end.
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

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/desk"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/pulse"
	"coin.internal/coin-agent/agent/readiness"
	"coin.internal/coin-agent/agent/reading"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/agent/selection"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/agent/tokens"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/cosign"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
	"coin.internal/coin-agent/secrets"
)

// maxBackoff bounds the wait after failed looks at the remote or the engine.
const maxBackoff = 10 * time.Minute

// engine is the Swarm that the stacks run on.
type engine interface {
	rollout.Engine
	ObserveServices(ctx context.Context, stackName string) (deploy.LiveServices, error)
	ObserveStacks(ctx context.Context, stackNames []string) (map[string]deploy.LiveServices, error)
	Inventory(ctx context.Context) (*deploy.Inventory, error)
	RemoveStack(ctx context.Context, stack, owner string, note func(deploy.Event) error) (kept, busy []string, err error)
	Collect(ctx context.Context, due []deploy.Version, keep deploy.Retention, note func(deploy.Event) error) (removed, used []deploy.Version, err error)
}

// tasks are the tasks of that Swarm.
type tasks interface {
	health.Tasks
	FollowDeaths(ctx context.Context, died func(stack string))
}

// reports takes the commit statuses and deployments for GitLab.
type reports interface {
	Enqueue(report gitlab.Report) error
	Last(of gitlab.Report) (gitlab.State, error)
	Deploy(step gitlab.Deployment) error
	Health() gitlab.Health
}

// anchors takes the head of the audit log to places outside of the node.
type anchors interface {
	Moved()
	Health() []anchor.Health
}

// Parts are what an agent works with.
type Parts struct {
	Settings  settings.Settings
	Version   string
	Log       *slog.Logger
	Source    signing.Repository
	Engine    engine
	Tasks     tasks                            // nil: health is judged by the numbers of tasks
	Keys      func() (*secrets.Keyring, error) // called at each sync that decrypts
	Vault     desired.Vault                    // where references to Vault are read; zero: nowhere
	Store     *store.Store
	Reports   reports               // nil: no statuses are sent to GitLab
	Tokens    func() []tokens.State // gives the state of each GitLab token; nil: there are none
	GitLab    *gitlab.Client        // nil: GitLab is not asked
	Statuses  gates.Statuses        // of the other nodes; nil: those from GitLab
	Approvals gates.Approvals       // of merge requests; nil: those from GitLab
	Previews  *Previews             // the plans of merge requests; nil: none are shown
	Exec      rollout.Execer        // runs the commands of checks; nil: they fail
	Release   readiness.Engine      // what the release gates ask of the engine; nil: nothing
	Notices   publish.Notices       // notices to users; without an outbox none are sent
	Metrics   *metrics.Metrics
	Audit     *audit.Log      // of Store's folder
	Policy    *policy.Current // in force; nil: the settings' policy, which stays
	Anchors   anchors         // of the audit log; nil: there are none
	Events    *events.Ring    // takes what happens; nil: it is not published

	// Render makes the stack of a node's files; nil: compose.Render does. A test that
	// renders the same files many times gives a function that remembers.
	Render func(*manifests.Node, *secrets.Set, compose.Options) (*compose.Stack, error)

	images *signing.Images // which the policy demands signatures of; New makes it

	Random func(n int64) int64 // gives a number below n, for the jitter of waits; nil: math/rand does

	signed signing.Repository // Source behind the demand for signatures; what is read through it is not on record
	gate   *signing.Gate      // that demand
}

// Agent keeps the stacks of one node in sync with the repository.
type Agent struct {
	parts    *Parts
	roster   roster
	daemon   *desk.Daemon // what the stacks have in common
	opened   secrets.Memory
	live     *drift.Shared
	sum      *publish.Sum // of several stacks; nil: no statuses are sent to GitLab
	agreed   agreed
	remote   *selection.Shared
	pulse    *pulse.Pulse
	started  time.Time
	nudges   chan struct{} // look at once
	deaths   chan struct{} // containers have died
	readings *reading.Counter
	due      time.Time     // when the next look is; zero until that is known
	queue    *desk.Queue   // what users asked for
	ended    chan struct{} // closed when Run has ended

	running   context.Context // of Run; nil before
	followers sync.WaitGroup  // what runs beside the loop
}

// auditMoved has the head of the audit log anchored, if it is a new one.
func (p *Parts) auditMoved() {
	if p.Anchors != nil {
		p.Anchors.Moved()
	}
}

// expiries gives when the GitLab tokens expire that do so.
func (p *Parts) expiries() map[string]time.Time {
	at := map[string]time.Time{}
	if p.Tokens == nil {
		return at
	}
	for _, token := range p.Tokens() {
		if !token.Expires.IsZero() {
			at[token.Setting] = token.Expires
		}
	}
	return at
}

// tokenErrors gives the problems of the GitLab tokens.
func (p *Parts) tokenErrors() (faults []error) {
	for _, token := range p.Tokens() {
		faults = append(faults, token.Errors()...)
	}
	return faults
}

// login gives the node's logins for registries; nil without an engine.
func (p *Parts) login() signing.Login {
	if p.Release == nil {
		return nil
	}
	return p.Release.Login
}

// New makes an agent from its parts. The agent does nothing until Run.
func New(parts Parts) *Agent {
	if parts.GitLab != nil && parts.Statuses == nil {
		parts.Statuses = parts.GitLab
	}
	if parts.GitLab != nil && parts.Approvals == nil {
		parts.Approvals = parts.GitLab
	}
	if parts.Policy == nil {
		parts.Policy = policy.NewCurrent(parts.Settings.Policy)
	}
	parts.gate = signing.New(func() *policy.Signers { return parts.Policy.Policy().Demands() }, parts.Source)
	parts.Source = signing.NewSource(parts.Source, parts.gate)
	parts.signed = parts.Source
	parts.images = signing.NewImages(cosign.Options{CAFile: parts.Settings.CAFile, Bytes: parts.Settings.Limits.OrDefault().AnswerBytes}, parts.login())
	parts.Notices.Bind(func(address string) error {
		return desired.Bounds{Policy: parts.Policy.Policy()}.Webhook(address, fault.Place{})
	})
	ended := make(chan struct{})
	read := reading.New(parts.Store, parts.Log)
	parts.Source = reading.NewSource(parts.Source, read)
	a := &Agent{
		parts: &parts, readings: read, started: time.Now(), pulse: &pulse.Pulse{},
		remote: &selection.Shared{Remote: selection.NewRemote(parts.Source, parts.Settings.Rule()), Files: parts.Source, Gate: reading.NewGate(parts.gate, read), Paths: parts.Settings.Paths()},
		nudges: make(chan struct{}, 1), deaths: make(chan struct{}, 1), queue: desk.NewQueue(ended), ended: ended,
	}
	a.daemon, a.live = a.newDaemon(), &drift.Shared{Engine: parts.Engine, Stacks: a.inSwarm}
	if parts.Reports != nil {
		a.sum = &publish.Sum{Name: gates.StatusName(parts.Settings.Environment, parts.Settings.Node), Statuses: parts.Reports, Stacks: a.names}
	}
	a.begin()
	a.parts.measure()
	return a
}

// Run looks at the remote and the engine until ctx ends: at once, then every
// interval with a tenth of jitter, later after errors. One sync runs at a time.
func (a *Agent) Run(ctx context.Context) error {
	defer close(a.ended)
	if err := a.recall(); err != nil {
		return err
	}
	a.running = ctx
	defer a.followers.Wait()
	a.followers.Go(func() { a.followDeaths(ctx) })
	for _, s := range a.all() {
		a.follow(s)
	}
	a.turn(ctx)
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
	_, stacks, left := a.roster.known()
	for _, s := range slices.Concat(stacks, left) {
		if err := s.recall(); err != nil {
			return err
		}
	}
	return nil
}

// mostAnew is how often a turn begins anew, so that stacks which follow different tags with
// different lists do not keep the loop.
const mostAnew = 5

// turn looks at each stack once, in the order of the list. If the commit lists other stacks, the
// turn begins anew with those.
func (a *Agent) turn(ctx context.Context) {
	a.remote.Forget()
	a.opened.Begin()
	defer a.opened.Wipe()
	relisted := true
	for anew := 0; relisted && anew <= mostAnew && ctx.Err() == nil; anew++ {
		relisted = false
		a.live.Begin()
		for _, s := range a.all() {
			done := a.lookAt(ctx, s, rollout.Cause{Trigger: record.OnCommit}, func(string) {})
			if relisted = errors.Is(done.Err, errAnew); relisted {
				break
			}
		}
	}
	a.live.End()
	a.settleLeft(ctx)
	a.prune(ctx)
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
	a.catchUp(ctx)
	return result
}

// wait is the time to the next look: the interval, doubled for each failure in
// a row, give or take a tenth.
func (a *Agent) wait() time.Duration {
	failures := 0
	for _, s := range a.all() {
		failures = max(failures, s.failures)
	}
	wait := a.parts.Settings.Interval
	for range min(failures, 10) {
		wait = min(2*wait, max(maxBackoff, a.parts.Settings.Interval))
	}
	tenth := int64(wait / 10)
	random := a.parts.Random
	if random == nil {
		random = rand.Int64N
	}
	return wait + time.Duration(random(2*tenth+1)-tenth)
}

// idle waits until the next look is due, a request arrives, or ctx ends, and does what is
// due. Deaths of containers, and peeks after failures, do not put the next look off.
func (a *Agent) idle(ctx context.Context) {
	if a.due.IsZero() {
		wait := a.wait()
		a.due = time.Now().Add(wait)
		a.pulse.Rest(wait)
	}
	wait := time.Until(a.due)
	peeks := wait > a.parts.Settings.Interval*3/2
	if peeks {
		wait = a.parts.Settings.Interval
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-a.deaths:
		a.lookAtDeaths(ctx)
		return
	case <-ctx.Done():
	case <-timer.C:
		if peeks {
			a.peek(ctx)
			return
		}
		a.turn(ctx)
	case <-a.nudges:
		a.turn(ctx)
	case job := <-a.queue.Jobs():
		release := a.holdPlans()
		job.Run(ctx)
		release()
	case <-a.queue.Asked():
		if look := a.queue.Take(); look != nil {
			look.Run(ctx)
		}
	}
	a.due = time.Time{}
}

// Look has the loop look at the remote at once, or again when it is busy. It does not wait.
func (a *Agent) Look() { a.nudge() }

// nudge has the loop look at once, or again when it is busy.
func (a *Agent) nudge() { signal(a.nudges) }

// signal sends on a channel that holds one signal, unless it has one.
func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}
