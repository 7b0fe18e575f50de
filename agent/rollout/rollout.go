// Package rollout makes attempts at one stack: it takes a goal, which is the files of a
// commit or a recorded good state, through the stages, and gives the sync with its
// outcome. It guarantees that every step that changes something is on record before it is taken,
// so that an attempt that is cut off at any point continues to the same end.
package rollout

import (
	"context"
	"io/fs"
	"log/slog"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/readiness"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
	gitsync "coin.internal/coin-agent/sync"
)

// Remote is the followed repository.
type Remote interface {
	Fetch(ctx context.Context, revision gitsync.Revision, prefetch []string) (*gitsync.Checkout, error)
	Between(ctx context.Context, older, newer string, in gitsync.Inputs) ([]gitsync.Commit, error)
}

// Engine is the engine that the stack runs on.
type Engine interface {
	planner
	looker
	fingerprinter
	writer
	watcher
}

// planner reads what a plan needs.
type planner interface {
	Observe(ctx context.Context, stack *compose.Stack) (*deploy.Live, error)
	Resolve(ctx context.Context, live deploy.LiveServices, want *compose.Stack) (deploy.Resolution, error)
	RefuseMissing(ctx context.Context, plan deploy.Plan, of deploy.Resolution, returns bool) (warnings []string, err error)
	Rerun(ctx context.Context, live deploy.LiveServices, want *compose.Stack) (*compose.Stack, error)
}

// looker reads the services of a stack, and nothing else.
type looker interface {
	ObserveChanged(ctx context.Context, stackName string, last deploy.Answer) (deploy.LiveServices, deploy.Answer, error)
}

// fingerprinter compares the contents of secrets with the live ones.
type fingerprinter interface {
	Mismatched(ctx context.Context, live *deploy.Live, want *compose.Stack, known map[string]string, key []byte) ([]string, map[string]string, error)
}

// writer changes services.
type writer interface {
	Apply(ctx context.Context, plan deploy.Plan, want *compose.Stack, opts deploy.ApplyOptions) error
	ScaleUp(ctx context.Context, stack string, scaledDown map[string]uint64, progress func(deploy.Event) error) error
	StopJobs(ctx context.Context, stack string, names []string, note func(deploy.Event) error) error
}

// watcher follows services and jobs.
type watcher interface {
	Verify(ctx context.Context, want *compose.Stack, options deploy.VerifyOptions) (deploy.Result, error)
	Jobs(ctx context.Context, stack string) (deploy.Jobs, error)
}

// Execer runs a command in a running container of a service on this node.
type Execer interface {
	Exec(ctx context.Context, service string, command []string) (code int, output string, err error)
}

// Records are the records of the stack. They are read here, and written through the
// Ledger.
type Records interface {
	history
	goodStates
	cronRecords
	adoptions
}

// history is the syncs before this one.
type history interface {
	Syncs(limit int) ([]record.Sync, error)
	SyncsUntil(enough func(*record.Sync) bool) ([]record.Sync, error)
	CheckTimes(commit string) (map[string][]float64, error)
}

// goodStates are the states that a rollback can return to.
type goodStates interface {
	Good(limit int) ([]record.GoodState, error)
	AllGood(now time.Time) ([]record.GoodState, error)
	Newest() (*record.GoodState, error)
}

// cronRecords keep which cron services are scaled down.
type cronRecords interface {
	ScaledDown() (record.ScaledDown, error)
	SaveScaledDown(down record.ScaledDown) error
}

// adoptions keep which stack the node keeps, and users' consent to it.
type adoptions interface {
	Adoption() (*record.Adoption, error)
	Consent() (*record.Consent, error)
	SaveConsent(given *record.Consent) error
	SaveAdoption(adopted *record.Adoption) error
}

// Files gives the files that a good state was made of.
type Files interface {
	Files(good *record.GoodState) (fs.FS, error)
}

// Fingerprints are the fingerprints of the contents of secrets in Swarm.
type Fingerprints interface {
	FingerprintKey() []byte
	Fingerprints() (map[string]string, error)
	LearnFingerprints(learned map[string]string) error
}

// AuditLog is the audit log of the node.
type AuditLog interface {
	Append(entries ...audit.Entry) error
	Read(each func(audit.Entry)) error
	Head() audit.Head
}

// Ledger records the stack's syncs. Save and End are durable when they return.
type Ledger interface {
	Show(sync *record.Sync) // on record already, before one of its stages that changes nothing
	Save(sync *record.Sync) error
	End(sync *record.Sync, good *record.GoodState) error // the sync is over; good may be nil
}

// imageSigners say whether the images of a stack have the signatures that a policy demands.
type imageSigners interface {
	Judge(ctx context.Context, rules *policy.Policy, stack *compose.Stack, images map[string]string) (signing.Verdict, error)
}

// Reading notes, durably, that a revision is read, so that one that ends the agent again and
// again is held.
type Reading interface {
	Begin(commit string) error // an error that wraps ErrUnreadable refuses the revision
	End() error
	Passed() error // its files made a plan: what ended the agent before was not the revision
}

// Screen shows how far an attempt is.
type Screen interface {
	Step(name string, limit time.Duration) // a step begins that may take so long without progress
	Progress(text string)
	Services(services *report.Rollout) // the services that the attempt waits for; nil for none
}

// Publisher tells GitLab and the receivers of notices about a sync.
type Publisher interface {
	Sync(sync *record.Sync) error
	Pending(sync *record.Sync) error
	Notice(sync *record.Sync) error
}

// Deploys tells GitLab which commit is being deployed, where Publisher does not.
type Deploys interface{ Deploy(sync *record.Sync) error }

// Receivers are those who get notices.
type Receivers interface {
	Use(config *manifests.Config) error
	Learn(state *desired.State)
}

// Delays tells the receivers that a rollback waits for the engine, the network or a
// registry.
type Delays interface {
	Delay(sync *record.Sync, why error) error
}

// Measures are the metrics of an attempt.
type Measures interface {
	Phase(name string, seconds float64)
	Checked(results []checks.Result)
}

// Events takes what an attempt does, for those who watch it.
type Events interface{ Publish(event events.Event) }

// Parts are what the attempts at one stack work with.
type Parts struct {
	Settings *settings.Settings
	Node     desired.Options // whose files the stack is made of
	Stack    string          // its name in audit entries; "" for the only one of the node
	Version  string
	Log      *slog.Logger

	Remote Remote
	Select func(ctx context.Context) (gitsync.Revision, error) // gives the revision that the stack follows now
	Engine Engine
	Probe  readiness.Engine           // what the release gates ask of the engine; nil: nothing
	Exec   Execer                     // runs the commands of checks; nil: they fail
	Gates  gates.Parts                // without Release and Merged
	Policy func() *policy.Policy      // that is in force; nil: none
	Images imageSigners               // asked where the policy demands signatures of images
	Others func() []*record.GoodState // the deployed good states of the node's other stacks; nil: it has none
	Tokens func() []error             // gives the problems of GitLab's tokens; nil: there are none

	KeyState func() string // differs after the key files have changed; nil: there are none

	// Agrees refuses files in which the node's stacks claim one object. It gets what this one
	// claims; nil: it has one stack.
	Agrees func(context.Context, *gitsync.Checkout, compose.Claimant) error

	Reading      Reading
	Records      Records
	Files        Files
	Fingerprints Fingerprints
	Audit        AuditLog
	Ledger       Ledger

	Screen    Screen
	Publish   Publisher
	Deploys   Deploys
	Receivers Receivers
	Delays    Delays
	Metrics   Measures
	Events    Events

	Stops <-chan struct{} // ends the wait of a rollout for a rollback

	looks bool // nothing is recorded, written or asked: a preview
}

// options says whose files an attempt reads, and what the node's policy says of them now.
func (p *Parts) options() desired.Options {
	options := p.Node
	options.Bounds.Policy = p.Policy()
	return options
}

// recorded gives the options for the files of a recorded state: the node's floor holds for a
// rollback, too.
func (p *Parts) recorded() desired.Options {
	options := p.options()
	if floor := p.Policy().Gates(); floor != nil {
		options.Judges = &manifests.Judges{Floor: floor, Node: p.Node.Node, At: time.Now()}
	}
	return options
}

// Rollouts makes the attempts at one stack, one at a time.
type Rollouts struct {
	use      *Parts
	cron     *cron
	released *released // of the release that passed its gates last
	asked    *asked    // about the plan of a sync that waits; nil for none
	traced   *traced   // what was found out about the history last
}

// New makes Rollouts.
func New(parts Parts) *Rollouts {
	use := &parts
	if use.Policy == nil {
		use.Policy = func() *policy.Policy { return nil }
	}
	use.Gates.Merged = &gates.Merged{}
	return &Rollouts{use: use, cron: &cron{records: parts.Records, engine: parts.Engine, stack: parts.Stack, audit: parts.Audit}}
}

// Base is what is on record of the stack when an attempt begins.
type Base struct {
	Last     *record.Sync      // nil before the first sync
	Deployed *record.GoodState // nil before the first good state
}

// Cause is why a sync begins, and who asked for it.
type Cause struct {
	Trigger  record.Trigger
	Actor    audit.Actor      // of a user's request
	Override *record.Override // of a freeze
	To       string           // the tag that the user asks for; "" for the one that is followed
	Chosen   *record.Chosen   // that request, once the tag is found
	Adopt    bool             // the user adopts whatever the first rollout takes over

	Correction Correction // of drift
}

// Correction is what the correction of a drift is about.
type Correction struct {
	Fields []record.Correction // that it puts back
	Leaves []string            // drifted services, by full name, that it leaves as they are
}

// who gives the actor of a revision's sync.
func (c Cause) who(revision gitsync.Revision) audit.Actor {
	switch c.Trigger {
	case record.OnRequest:
		return c.Actor
	case record.OnCommit:
		return audit.Author(revision.Author)
	case record.OnDrift, record.OnRollback:
	}
	return audit.Agent()
}

// chosen gives the request for a tag that a sync of a revision goes back to. The syncs after
// it of the same tag keep it.
func (c Cause) chosen(last *record.Sync, revision gitsync.Revision) *record.Chosen {
	if c.Chosen == nil && last != nil && last.Commit == revision.Commit && last.Ref == revision.Ref {
		return last.Chosen
	}
	return c.Chosen
}

// Outcome is the result of an attempt.
type Outcome struct {
	Sync *record.Sync // nil when nothing was due
	Err  error        // the sync is tried again, or its outcome could not be recorded
	Over bool         // the sync is over, and that is on record

	Observed deploy.Observed // the services at the end of an attempt that is over; none if they were not read

	To *record.GoodState // of a rollback that was refused before anything of it was recorded, if it is known
}

// RestoreCron restores the cron services that are still scaled down after a look: the
// rollout was interrupted and another sync is due now, or nothing can be done, or the
// engine did not answer. What fails is tried again by the next look.
func (r *Rollouts) RestoreCron(ctx context.Context, last *record.Sync) {
	if r.use.Gates.Observe {
		return
	}
	if stack, err := r.cron.restore(ctx, last); err != nil {
		r.use.Log.Warn("cannot restore cron services", "stack", stack, "error", err)
	}
}
