package rollout

import (
	"context"
	"fmt"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

// Commit is the commit that a sync rolls out, and the reason.
type Commit struct {
	Checkout *gitsync.Checkout
	Fetching time.Duration // how long the fetch took
	Signer   string        // who signed it; "" if no signature is demanded
	Cause    Cause
	Progress func(string)
}

// forward is the goal of an attempt that rolls out a commit.
type forward struct {
	a        *attempt
	rollouts *Rollouts
	checkout *gitsync.Checkout
	known    bool   // the commit was synced before, and is good
	waited   string // what the sync waited for when its gates were asked last
	of       makings

	admission *admission
	adoption  *adoption
}

// Forward brings the stack to the files of a commit, in a new sync, or carries the last
// sync on.
func (r *Rollouts) Forward(ctx context.Context, base Base, to Commit) Outcome {
	f := r.newForward(base, to)
	if waiting, still := stillWaits(ctx, f, to); still {
		return waiting
	}
	r.asked, f.of = nil, r.use.makings(base.Deployed, f.a.commit, to.Signer)
	if err := f.begin(to.Cause); err != nil {
		return Outcome{Err: err}
	}
	a, seconds := f.a, to.Fetching.Seconds()
	a.sync.Signer = to.Signer
	a.note.Seconds[record.StageFetch] = seconds
	r.use.Metrics.Phase(string(record.StageFetch), seconds)
	defer a.wipe()
	defer func() { a.ahead.end() }()
	err := a.run(ctx)
	if endErr := r.use.Reading.End(); endErr != nil {
		return Outcome{Sync: a.sync, Err: fmt.Errorf("save state: %w", endErr)}
	}
	return f.finish(ctx, err)
}

// Refuse records that a commit is refused at a stage before its files are read, and so holds
// it. What runs stays.
func (r *Rollouts) Refuse(ctx context.Context, base Base, to Commit, at record.Stage, reason error) Outcome {
	f := r.newForward(base, to)
	if err := f.begin(to.Cause); err != nil {
		return Outcome{Err: err}
	}
	f.a.sync.Signer = ""
	return f.finish(ctx, f.a.enter(ctx, stage{at, func(context.Context) error { return reason }}))
}

func (r *Rollouts) newForward(base Base, to Commit) *forward {
	a := &attempt{use: r.use, cron: r.cron, base: base, commit: to.Checkout.Revision.Commit, progress: to.Progress}
	_ = a.policy() // for a refusal before its load
	f := &forward{a: a, rollouts: r, checkout: to.Checkout}
	a.goal, a.database = f, &database{a: a}
	f.adoption = &adoption{a: a, all: to.Cause.Adopt, user: to.Cause.Actor}
	f.admission = &admission{a: a, tag: to.Checkout.Revision.Tag, release: &releaseGate{a: a, memory: &r.released}, adoption: f.adoption, traced: &r.traced}
	a.journal = journal.New(r.use.Audit, f.entry)
	return f
}

func (f *forward) enter(name record.Stage) {
	f.a.sync.Stage = name
	f.a.sync.Enter(name, time.Now())
}

func (f *forward) keep() { f.a.sync.Note(f.a.note) }

func (f *forward) entry() audit.Entry {
	entry := journal.SyncEntry(f.a.sync)
	entry.Plan, entry.Revision = f.a.note.PlanDigest, f.a.commit
	entry.Stack = f.a.use.Stack
	return entry
}

func (f *forward) origin() (by, release string, at time.Time) {
	return audit.AuthorName(f.a.sync.Author), f.a.sync.Release, f.a.sync.Deployed()
}

func (f *forward) load(ctx context.Context) error {
	if err := f.a.use.Reading.Begin(f.a.commit); err != nil {
		return err
	}
	judges, options := f.a.use.judges(f.a.base.Deployed), f.a.use.options()
	options.Judges, options.Bounds.Good, options.Bounds.Policy = &judges, f.rollouts.nodeOf(f.a.base.Deployed), f.a.policy()
	options.Vault.Settled = record.VaultOf(f.a.base.Last, f.a.base.Deployed, f.a.commit)
	state, err := desired.Load(ctx, f.checkout.FS, options)
	if err != nil {
		return err
	}
	f.a.desired, f.a.sync.Stack, f.a.sync.Loosens = state, state.Node.Stack, state.Node.Config.Loosens
	if f.a.base.Deployed == nil {
		return f.a.use.Receivers.Use(state.Node.Config) // there are no others who could be told
	}
	return nil
}

func (f *forward) decrypt(ctx context.Context) error {
	a := f.a
	if err := a.desired.Decrypt(ctx); err != nil {
		return err
	}
	if a.base.Deployed == nil {
		a.use.Receivers.Learn(a.desired)
	}
	if a.use.looks {
		return nil
	}
	read, before := a.desired.Readings, a.sync.Vault
	a.sync.Vault = read
	return a.journal.Reads(read, before)
}

func (f *forward) render(ctx context.Context) error {
	a := f.a
	askAhead(ctx, a)
	stack, err := a.desired.Render(ctx)
	if err == nil && a.use.Agrees != nil {
		err = a.use.Agrees(ctx, f.checkout, a.desired.Claims(stack))
	}
	if err != nil {
		return err
	}
	a.stack = stack
	if err := readyChecks(a); err != nil {
		return err
	}
	a.sync.Release = stack.Release
	a.note.Warnings = nil
	for _, warning := range stack.Warnings {
		text := warning.Error()
		if warning.Hint != "" {
			text += "; " + warning.Hint
		}
		a.note.Warnings = append(a.note.Warnings, text)
	}
	if a.use.Policy() == nil { // else it says where the files have what it refuses
		a.stack = a.stack.WithoutFiles()
	}
	return nil
}

// plan compares the services, with the digests of their images, with the live ones. It
// refuses a secret whose content changed under an old version, before the first write.
func (f *forward) plan(ctx context.Context, live *deploy.Live) (deploy.Plan, error) {
	a := f.a
	a.sync.Inputs = f.checkout.Inputs() // recorded now, also for a sync that waits, is interrupted or is rolled back
	stack, err := a.ignore(a.stack)
	if err != nil {
		return deploy.Plan{}, err
	}
	resolved, err := a.use.Engine.Resolve(ctx, live.Services, stack)
	if err != nil {
		return deploy.Plan{}, fault.Transient(err)
	}
	if a.declared, err = rerunAsked(ctx, f, live, resolved.Stack); err != nil {
		return deploy.Plan{}, err
	}
	a.stack = deploy.Leave(a.declared, live.Services, a.sync.Leaves)
	a.stack = givenVariables(f, a.stack)
	if live, err = f.adoption.own(live); err != nil {
		return deploy.Plan{}, err
	}
	plan, err := deploy.Diff(live, a.stack)
	if err != nil {
		return plan, err
	}
	if err := a.refuseMissing(ctx, &plan, resolved, a.sync.Trigger == record.OnDrift); err != nil {
		return plan, err
	}
	if err := f.adoption.ask(live, plan); err != nil {
		return plan, err
	}
	a.unresolved = len(resolved.Warnings) > 0
	plan.Warnings = append(plan.Warnings, resolved.Warnings...)
	if err := warnOf(a, plan); err != nil {
		return plan, err
	}
	if !a.note.Wrote {
		a.sync.Deployment = deployment(a, live)
		if a.note.Announced, err = (running{a.base.Deployed}).announced(a.desired.Node, live, a.stack); err != nil {
			return plan, err
		}
	}
	return plan, compareSecrets(ctx, f, live)
}

// rerunAsked makes services run again that have failed for good: this is a new rollout. A
// continued sync runs only those again that it began with.
func rerunAsked(ctx context.Context, f *forward, live *deploy.Live, stack *compose.Stack) (*compose.Stack, error) {
	if f.a.note.Wrote {
		begun, err := begunPlan(f.a)
		if err != nil {
			return nil, err
		}
		return begun.WithReruns(stack), nil
	}
	stack, err := f.a.use.Engine.Rerun(ctx, live.Services, stack)
	return stack, fault.Transient(err)
}

// givenVariables takes external objects to be there, while the stacks of the node that the plan waits for
// may still make them. The plan is made anew once the gate lets it pass.
func givenVariables(f *forward, stack *compose.Stack) *compose.Stack {
	earlier := f.a.use.Gates.Earlier
	if earlier == nil || f.known || f.a.sync.Trigger == record.OnDrift || !gates.Behind(earlier(), f.a.commit) {
		return stack
	}
	planned := *stack
	planned.Given = compose.Given{Networks: stack.ExternalNetworks, Secrets: stack.ExternalSecrets, Configs: stack.ExternalConfigs}
	return &planned
}

// compareSecrets refuses versions whose content differs from the live one.
func compareSecrets(ctx context.Context, f *forward, live *deploy.Live) error {
	prints := f.a.use.Fingerprints
	known, err := prints.Fingerprints()
	if err != nil {
		return fmt.Errorf("read fingerprints: %w", err)
	}
	want := f.a.stack
	if f.a.use.Gates.Observe {
		want = comparableSecrets(f, live, known)
	}
	_, learned, err := f.a.use.Engine.Mismatched(ctx, live, want, known, prints.FingerprintKey())
	if learnErr := prints.LearnFingerprints(learned); learnErr != nil {
		return fmt.Errorf("save fingerprints: %w", learnErr)
	}
	return err
}

// comparableSecrets gives the stack with the secrets that can be compared without a write, as an agent
// that observes does it, and warns of the others.
func comparableSecrets(f *forward, live *deploy.Live, known map[string]string) *compose.Stack {
	want := *f.a.stack
	want.Secrets = nil
	var left []string
	for _, secret := range f.a.stack.Secrets {
		if existing, exists := live.Secrets[secret.Spec.Name]; !exists || known[existing.ID] != "" {
			want.Secrets = append(want.Secrets, secret)
		} else {
			left = append(left, secret.Spec.Name)
		}
	}
	if len(left) > 0 {
		f.a.warn("not compared with the contents in Swarm, which takes a write: " + strings.Join(left, ", "))
	}
	return &want
}

// gate asks the gates. From here on nothing of the revision is parsed. The receivers of
// notices that the commit names count from here on: before, those of the last good revision
// are told that it is refused, or what it waits for.
func (f *forward) gate() stage {
	return stage{record.StageGate, func(ctx context.Context) error {
		f.admission.trace(ctx)
		if err := f.a.use.Reading.Passed(); err != nil {
			return fmt.Errorf("save state: %w", err)
		}
		if err := f.admission.ask(ctx); err != nil {
			return err
		}
		f.forget()
		f.a.use.Receivers.Learn(f.a.desired)
		return f.a.use.Receivers.Use(f.a.desired.Node.Config)
	}}
}

// forget drops what only the stages so far need: with many services it is half of what they made.
func (f *forward) forget() {
	f.a.stack, f.a.declared = f.a.stack.WithoutFiles(), f.a.declared.WithoutFiles()
	f.adoption.live = nil
}

// ready notes what is about to be written.
func (f *forward) ready() error {
	a := f.a
	if a.plan.Empty() && len(a.sync.Loosens) == 0 {
		return nil
	}
	detail := string(a.sync.Trigger) + ": " + report.PlanIntent(a.plan.Recorded())
	return a.journal.Start(entries{a}.startDetail(detail))
}

func (f *forward) wrote() error { return f.a.use.Publish.Sync(f.a.sync) }

// await waits until the services in the waves before a wave are what they declare.
func (f *forward) await(ctx context.Context, wave deploy.Wave) error {
	return f.watch().unlessSuperseded(ctx, func(ctx context.Context) error {
		result, err := follower{f.a}.follow(ctx, wave.Stack, fmt.Sprintf("before wave %d: ", wave.Number))
		if err != nil {
			return err
		}
		f.a.use.Screen.Services(nil)
		return wave.Err(result)
	})
}

// verify waits until the services are what they declare, asks about migrations and the
// checks, and compares the services with what was applied.
func (f *forward) verify(ctx context.Context) error {
	return f.watch().unlessSuperseded(ctx, func(ctx context.Context) error {
		observed, err := follower{f.a}.converge(ctx)
		if err != nil {
			return err
		}
		f.a.sync.ChecksDigest = f.a.questions.digest
		asked, err := f.a.questions.askDue(ctx)
		if err != nil {
			return err
		}
		if asked {
			observed = deploy.Observed{} // they may have changed meanwhile
		}
		return follower{f.a}.compare(ctx, f.a.stack, observed)
	})
}

// watch gives what may end a wait of this rollout early.
func (f *forward) watch() watch {
	return watch{use: f.a.use, checkout: f.checkout, stack: f.a.stack.Name, deployed: f.a.base.Deployed, gates: f.admission.gates()}
}
