package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
)

// attempt is one pass through the stages, with what each stage leaves for the next.
type attempt struct {
	use  *Parts
	cron *cron
	base Base
	goal goal

	sync     *record.Sync
	note     *record.Attempt // what the attempt leaves on record
	commit   string          // that it deploys
	stage    record.Stage    // the current one
	entered  bool            // the attempt is in the state file
	rules    string          // digest of the policy and limits that it was judged by last
	journal  *journal.Journal
	progress func(string)

	desired    *desired.State               // nil when the files of a good state cannot be read
	stack      *compose.Stack               // that is written: with the live specs of services that are left as they are
	declared   *compose.Stack               // that is recorded
	ignored    map[string][]compose.Ignored // all fields that another process may change
	plan       deploy.Plan
	facts      deploy.Facts        // that the plan was made of
	unresolved bool                // an image's digest is not known
	observed   deploy.Observed     // the services at the end; none before
	changed    string              // which services another process changed during the attempt; "" for none
	ahead      *ahead              // what the engine was asked while the stack was rendered; nil for nothing
	uses       journal.SecretNames // new secrets of the services
	questions  *questions          // config.yml's checks; nil for none
	database   *database
}

// goal is what an attempt brings the stack to: the files of a commit (forward.go), or a
// good state (back.go). The stages ask it for everything in which the two differ.
type goal interface {
	// load, decrypt and render make the stack.
	load(ctx context.Context) error
	decrypt(ctx context.Context) error
	render(ctx context.Context) error
	// subject is what the policy judges; refused makes an error of its refusals.
	subject() policy.Subject
	refused(refusals []policy.Refusal) error
	// plan compares the stack with the live services.
	plan(ctx context.Context, live *deploy.Live) (deploy.Plan, error)
	// gate is the stage that lets the plan pass, or refuses it.
	gate() stage
	// ready notes that the plan, which may be empty, is written next.
	ready() error
	// await waits until a wave may begin.
	await(ctx context.Context, wave deploy.Wave) error
	// verify waits until the services are what they declare, and asks the checks.
	verify(ctx context.Context) error

	// enter records that a stage begins, wrote that the first write follows, and keep what
	// the attempt has done so far.
	enter(name record.Stage)
	wrote() error
	keep()
	// entry begins an entry of the audit log about the whole of the attempt.
	entry() audit.Entry
	// origin says who deploys which release, and since when.
	origin() (by, release string, at time.Time)
}

// stage is one step of an attempt, by the name that status, metrics, log and commit status
// use.
type stage struct {
	name record.Stage
	run  func(context.Context) error
}

// prepare are the stages before the first write, in order.
func (a *attempt) prepare() []stage {
	stages := policed(a, []stage{
		{record.StageLoad, a.goal.load},
		{record.StageDecrypt, a.goal.decrypt},
		{record.StageRender, a.goal.render},
	})
	return append(stages, stage{record.StagePlan, a.makePlan}, a.goal.gate())
}

// write are the stages that follow.
func (a *attempt) write() []stage {
	return []stage{{record.StageApply, a.apply}, {record.StageVerify, a.goal.verify}}
}

// run takes all stages. An error says in which stage it arose.
func (a *attempt) run(ctx context.Context) error {
	return a.take(ctx, slices.Concat(a.prepare(), a.write()))
}

// take takes stages. The attempt is in the state file before the first one begins, and again before
// the first one that writes.
func (a *attempt) take(ctx context.Context, stages []stage) error {
	for _, stage := range stages {
		if err := a.enter(ctx, stage); err != nil {
			return err
		}
	}
	return nil
}

// recorded are the stages that are in the state file before they begin, beside the first one of an
// attempt. A stage before them only reads: an attempt that is cut off there begins anew, whichever
// stage it was in. apply records itself with the plan, before its first write.
var recorded = []record.Stage{record.StageVerify}

// enter shows the stage, takes it, and measures it.
func (a *attempt) enter(ctx context.Context, stage stage) error {
	a.stage = stage.name
	a.use.Screen.Step(string(stage.name), StepLimit)
	a.goal.enter(stage.name)
	if a.entered && !slices.Contains(recorded, stage.name) {
		a.goal.keep()
		a.use.Ledger.Show(a.sync)
	} else if err := a.save(); err != nil {
		return err
	}
	a.entered = true
	started := time.Now()
	err := a.inTime(ctx, stage)
	seconds := time.Since(started).Seconds()
	a.note.Seconds[stage.name] += seconds
	a.use.Metrics.Phase(string(stage.name), seconds)
	a.use.Log.Debug("took stage", "stage", stage.name, "revision", record.Short(a.sync.Commit), "seconds", seconds)
	if err == nil {
		return nil
	}
	return stageError{stage: stage.name, err: err}
}

// inTime takes a stage, which ends with an error after the time that the node allows it.
func (a *attempt) inTime(ctx context.Context, stage stage) error {
	name, most := timeOfStage(a, stage.name)
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err := stage.run(limited)
	if err == nil || limited.Err() == nil || ctx.Err() != nil {
		return err
	}
	late := limits.Over(fault.Place{}, name, "the stage "+string(stage.name)+" takes", most)
	if stage.name == record.StagePlan || stage.name == record.StageGate || stage.name == record.StageGuard {
		return fault.Transient(late) // other machines were asked
	}
	return late
}

// timeOfStage gives the limit of a stage, with its name.
func timeOfStage(a *attempt, name record.Stage) (string, time.Duration) {
	most := a.use.Settings.Limits.OrDefault()
	switch name {
	case record.StageDecrypt:
		return "decrypt_time", most.DecryptTime
	case record.StageRender:
		return "render_time", most.RenderTime
	case record.StagePlan:
		return "plan_time", most.PlanTime
	case record.StageGate, record.StageGuard:
		return "gate_time", most.GateTime
	case record.StageApply:
		return "apply_time", most.ApplyTime
	case record.StageVerify:
		return "verify_time", most.VerifyTime
	case record.StageSelect, record.StageSigners, record.StageFetch, record.StageLoad, record.StagePolicy, record.StageRollback:
	}
	return "load_time", most.LoadTime
}

// StepLimit is how long a step may take without progress before the loop counts as stuck.
// The wait for services has its own limit.
const StepLimit = 10 * time.Minute

// stageError is an error with the stage that it arose in.
type stageError struct {
	stage record.Stage
	err   error
}

func (e stageError) Error() string { return e.err.Error() }
func (e stageError) Unwrap() error { return e.err }

func (a *attempt) save() error {
	a.goal.keep()
	return a.use.Ledger.Save(a.sync)
}

// wipe overwrites the values of secrets.
func (a *attempt) wipe() { a.desired.Wipe() }

// config gives the config.yml of the goal; nil if it is not known.
func (a *attempt) config() *manifests.Config {
	if a.desired == nil {
		return nil
	}
	return a.desired.Node.Config
}

// makePlan compares the wanted services with the live ones, and records the plan. An
// attempt that is carried on keeps the plan that it began with.
func (a *attempt) makePlan(ctx context.Context) error {
	live, err := a.observe(ctx)
	if err != nil {
		return fault.Transient(err)
	}
	a.facts = live.Facts()
	if a.plan, err = a.goal.plan(ctx, live); err != nil {
		return err
	}
	if err := a.demandSignatures(ctx, live); err != nil {
		return err
	}
	a.uses = journal.NewUses(journal.LiveSecrets(live), a.stack)
	if a.note.Wrote {
		return nil
	}
	a.note.PlanDigest = a.plan.Digest()
	if a.note.Plan, err = json.Marshal(a.plan); err != nil {
		return fmt.Errorf("record plan: %w", err)
	}
	return nil
}

// refuseMissing refuses a plan whose tasks would have no image, and adds warnings to it. An
// attempt that has written is carried on.
func (a *attempt) refuseMissing(ctx context.Context, plan *deploy.Plan, of deploy.Resolution, returns bool) error {
	if a.note.Wrote {
		return nil
	}
	warnings, err := a.use.Engine.RefuseMissing(ctx, *plan, of, returns)
	plan.Warnings = append(plan.Warnings, warnings...)
	return err
}

// begunPlan gives the plan that the attempt began with: after a restart the plan has only the
// rest of it.
func begunPlan(a *attempt) (deploy.RecordedPlan, error) {
	var plan deploy.RecordedPlan
	if err := json.Unmarshal(a.note.Plan, &plan); err != nil {
		return plan, fmt.Errorf("read the recorded plan: %w", err)
	}
	return plan, nil
}

// apply writes the plan and nothing else.
func (a *attempt) apply(ctx context.Context) error {
	if a.use.Gates.Observe {
		return errObserves // the gate holds each plan before
	}
	if err := (entries{a}).found(); err != nil {
		return err
	}
	if err := a.goal.ready(); err != nil {
		return err
	}
	defer func() { a.plan = deploy.Plan{} }() // it has the live services; its record stays
	if a.plan.Empty() {
		return a.cron.clear()
	}
	if err := a.sync.Apply(record.Write, time.Now()); err != nil {
		return err
	}
	a.note.Wrote = true
	if err := a.save(); err != nil {
		return err
	}
	if err := a.goal.wrote(); err != nil {
		return err
	}
	a.use.Log.Info("applying", "revision", record.Short(a.commit), "stack", a.stack.Name, "steps", len(a.plan.Steps), "plan", a.note.PlanDigest)
	book := a.journal.Open(a.uses)
	err := a.cron.apply(ctx, a.plan, a.stack, deploy.ApplyOptions{
		Metadata: metadataOf(a), Wait: a.goal.await,
		Progress: func(event deploy.Event) error {
			a.show(report.EventText(event))
			a.tell(event)
			if event.Waits != "" {
				a.use.Log.Info("waiting", "revision", record.Short(a.commit), "service", event.Step.Name, "reason", event.Waits)
			}
			return book.Note(event)
		},
	})
	if err := book.Close(err); err != nil {
		return err
	}
	return a.learnSecrets(ctx)
}

// learnSecrets remembers the fingerprints of the secrets that were just created, so that
// the engine need not be asked about them.
func (a *attempt) learnSecrets(ctx context.Context) error {
	created := map[string]bool{}
	for _, step := range a.plan.Steps {
		if step.Kind == deploy.Secret && step.Action == deploy.Create {
			created[step.Name] = true
		}
	}
	if len(created) == 0 {
		return nil
	}
	live, err := a.use.Engine.Observe(ctx, a.stack)
	if err != nil {
		return fault.Transient(err)
	}
	learned := map[string]string{}
	for _, secret := range a.stack.Secrets {
		if created[secret.Spec.Name] {
			learned[live.Secrets[secret.Spec.Name].ID] = secret.Value.Fingerprint(a.use.Fingerprints.FingerprintKey())
		}
	}
	return a.use.Fingerprints.LearnFingerprints(learned)
}

// metadataOf is what the labels of written services say about the attempt.
func metadataOf(a *attempt) deploy.Metadata {
	by, release, at := a.goal.origin()
	meta := deploy.Metadata{
		"deployed-by": by,
		"deployed-at": at.UTC().Format(time.RFC3339),
		"git-commit":  a.commit,
		"environment": a.use.Node.Environment,
		"node":        a.use.Node.Node,
		"release-tag": release,
	}
	if a.desired != nil {
		variables := a.desired.Node.Variables
		meta["task-id"], meta["pipeline-id"] = variables["TASK_ID"].Value, variables["PIPELINE_ID"].Value
	}
	return meta
}

// show shows how far the attempt is to the users who watch it.
func (a *attempt) show(text string) {
	if a.sync.ID != 0 { // otherwise nothing has begun: a user only looks at a plan
		a.use.Screen.Progress(text)
	}
	a.progress(text)
	a.use.Log.Debug("progress", "revision", record.Short(a.sync.Commit), "stage", a.stage, "progress", text)
}

// tell publishes a write to those who watch the node.
func (a *attempt) tell(event deploy.Event) {
	told := events.Event{Kind: events.Write, Stack: a.use.Stack, Sync: a.sync.ID, Commit: a.commit, State: string(event.Step.Action), Text: report.EventText(event)}
	if event.Step.Kind == deploy.Service {
		told.Service = event.Step.Name
	}
	a.use.Events.Publish(told)
}

// warn notes a warning once.
func (a *attempt) warn(text string) {
	if !slices.Contains(a.note.Warnings, text) {
		a.note.Warnings = append(a.note.Warnings, text)
	}
}

// warnOf notes the warnings of a plan. A continued sync keeps those of the plan that it began with,
// also of what is written already.
func warnOf(a *attempt, plan deploy.Plan) error {
	warnings := plan.Warnings
	if a.note.Wrote {
		begun, err := begunPlan(a)
		if err != nil {
			return err
		}
		warnings = slices.Concat(begun.Warnings, warnings)
	}
	for _, text := range warnings {
		a.warn(text)
	}
	return nil
}
