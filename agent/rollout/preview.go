package rollout

import (
	"context"
	"errors"
	"time"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// Preview is what the rollout of a commit would do.
type Preview struct {
	Plan      deploy.RecordedPlan
	Release   string
	Loosens   []string             // gates that the commit loosens
	Approvals []manifests.Approval // that its rollout will wait for
	Waits     []string             // what else its rollout will wait for
}

// Preview makes the plan of a commit that is not on the followed branch, by the stages of a
// rollout up to the plan. Nothing of it is recorded, written, checked or told to receivers,
// and nothing of it depends on the content of a secret. It is nil if concerned, which is
// asked once the commit's files are read, says that the commit does not concern this node.
func (r *Rollouts) Preview(ctx context.Context, base Base, checkout *gitsync.Checkout, concerned func() (bool, error)) (*Preview, error) {
	looking := &Rollouts{use: r.use.looking(), cron: r.cron}
	looking.use.Node.Opened = nil // it is the loop's
	looking.use.Node.Render = running{base.Deployed}.render(r.use.Node.Render)
	f := looking.newForward(base, Commit{Checkout: checkout, Progress: func(string) {}})
	a := f.a
	var err error
	if a.sync, err = NewSync(checkout.Revision, record.OnCommit, record.Begin, time.Now()); err != nil {
		return nil, err
	}
	a.note = a.sync.Attempt()
	defer a.wipe()
	readErr := a.take(ctx, []stage{{record.StageLoad, f.load}, {record.StageDecrypt, f.decrypt}, {record.StageRender, f.render}})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if is, err := concerned(); err != nil || !is {
		return nil, err
	}
	if readErr != nil {
		return nil, readErr
	}
	if err := a.take(ctx, append(policed(a, nil), stage{record.StagePlan, a.makePlan})); err != nil {
		return nil, err
	}
	made := &Preview{Plan: a.plan.Recorded(), Release: a.sync.Release, Loosens: a.sync.Loosens}
	made.Plan.Warnings = a.note.Warnings
	if !a.plan.Empty() || a.sync.Takes != nil || len(made.Loosens) > 0 {
		made.Approvals = a.config().Approvals()
		made.Waits, err = gates.Foreseen(ctx, a.use.Gates, &gates.Plan{Sync: a.sync, Config: a.config()})
	}
	return made, err
}

// StageOf gives the stage that an error arose in; "" if it arose in none.
func StageOf(err error) record.Stage {
	if at, ok := errors.AsType[stageError](err); ok {
		return at.stage
	}
	return ""
}

// looking gives the parts of an attempt that only looks.
func (p *Parts) looking() *Parts {
	quiet := *p
	quiet.Reading, quiet.Ledger, quiet.Publish = noReading{}, noLedger{}, silent{}
	quiet.Deploys = silent{}
	quiet.Screen, quiet.Receivers, quiet.Delays, quiet.Metrics = silent{}, silent{}, nil, silent{}
	may := &registries{all: p.Policy().NamesImages(), used: map[string]bool{}}
	quiet.Engine, quiet.Images = lookingEngine{p.Engine, may}, lookingSigners{p.Images, may}
	quiet.Exec, quiet.Probe, quiet.Audit = nil, nil, nil
	quiet.looks, quiet.Node.Vault.Plan = true, true
	return &quiet
}

// noReading notes nothing: who asks for a preview notes what is read.
type noReading struct{}

func (noReading) Begin(string) error { return nil }
func (noReading) End() error         { return nil }
func (noReading) Passed() error      { return nil }

// noLedger records nothing.
type noLedger struct{}

func (noLedger) Show(*record.Sync)                         {}
func (noLedger) Save(*record.Sync) error                   { return nil }
func (noLedger) End(*record.Sync, *record.GoodState) error { return nil }

// silent takes what an attempt tells and shows, and drops it.
type silent struct{}

func (silent) Sync(*record.Sync) error    { return nil }
func (silent) Pending(*record.Sync) error { return nil }
func (silent) Notice(*record.Sync) error  { return nil }
func (silent) Deploy(*record.Sync) error  { return nil }

func (silent) Use(*manifests.Config) error { return nil }
func (silent) Learn(*desired.State)        {}

func (silent) Step(string, time.Duration) {}
func (silent) Progress(string)            {}
func (silent) Services(*report.Rollout)   {}

func (silent) Phase(string, float64)   {}
func (silent) Checked([]checks.Result) {}

// lookingEngine reads the engine and writes nothing. It asks only some registries.
type lookingEngine struct {
	engine     Engine
	registries *registries
}

var errLooks = errors.New("a preview does not change the engine")

func (e lookingEngine) Observe(ctx context.Context, stack *compose.Stack) (*deploy.Live, error) {
	return e.engine.Observe(ctx, stack)
}

func (e lookingEngine) ObserveChanged(ctx context.Context, name string, last deploy.Answer) (deploy.LiveServices, deploy.Answer, error) {
	return e.engine.ObserveChanged(ctx, name, last)
}

func (e lookingEngine) Rerun(ctx context.Context, live deploy.LiveServices, want *compose.Stack) (*compose.Stack, error) {
	return e.engine.Rerun(ctx, live, want)
}

// Mismatched compares nothing: the engine compares by a write, and the answer would tell the
// author of a branch whether a guess of a secret is right.
func (lookingEngine) Mismatched(context.Context, *deploy.Live, *compose.Stack, map[string]string, []byte) ([]string, map[string]string, error) {
	return nil, nil, nil
}

func (lookingEngine) Apply(context.Context, deploy.Plan, *compose.Stack, deploy.ApplyOptions) error {
	return errLooks
}

func (lookingEngine) ScaleUp(context.Context, string, map[string]uint64, func(deploy.Event) error) error {
	return errLooks
}

func (lookingEngine) Verify(context.Context, *compose.Stack, deploy.VerifyOptions) (deploy.Result, error) {
	return deploy.Result{}, errLooks
}

func (lookingEngine) Jobs(context.Context, string) (deploy.Jobs, error) {
	return deploy.Jobs{}, errLooks
}

func (lookingEngine) StopJobs(context.Context, string, []string, func(deploy.Event) error) error {
	return errLooks
}
