package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/migrations"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// reconcile is one run through the stages, with what each stage leaves for the next.
type reconcile struct {
	*Agent
	sync     *record.Sync
	attempt  *record.Attempt // what it leaves on record, in the sync or in its rollback
	stage    record.Stage    // the current stage
	revision gitsync.Revision
	progress func(string)
	known    bool   // the revision was synced before, and is good
	waited   string // what the sync waited for when it was last looked at

	checkout   *gitsync.Checkout
	node       *manifests.Node
	desired    *desired.State
	stack      *compose.Stack
	plan       deploy.Plan
	unresolved bool                // an image's digest is not known
	uses       map[string][]string // new secrets of a service, by service
	questions  *questions
	noted      bool // the audit log has the start of this apply
	remembered bool // the release gate went by an earlier verdict

	migrations *migrations.Check // nil where config.yml checks none
	rollback   *rollbackRun      // nil unless it is a rollback
}

// stage is one step of a reconcile, by the name that status, metrics, log and
// commit status use.
type stage struct {
	name record.Stage
	run  func(context.Context) error
}

// stages gives the stages of a reconcile after its fetch, in order.
func (r *reconcile) stages() []stage {
	return []stage{
		{record.StageLoad, r.load},
		{record.StageDecrypt, r.decrypt},
		{record.StageRender, r.render},
		{record.StagePlan, r.makePlan},
		{record.StageGate, r.gate},
		{record.StageApply, r.apply},
		{record.StageVerify, r.verify},
	}
}

// run takes the stages. An error says in which stage it arose.
func (r *reconcile) run(ctx context.Context) error {
	defer r.wipe()
	return r.take(ctx, r.stages()...)
}

func (r *reconcile) take(ctx context.Context, stages ...stage) error {
	for _, stage := range stages {
		if err := r.enter(ctx, stage); err != nil {
			return err
		}
	}
	return nil
}

// wipe overwrites the values of secrets.
func (r *reconcile) wipe() { r.desired.Wipe() }

// nodeOptions say which node the agent keeps in sync.
func (a *Agent) nodeOptions() desired.Options {
	return desired.Options{Environment: a.Settings.Environment, Node: a.Settings.Node, Keys: a.Keys, CheckDir: a.Settings.CheckDir}
}

// enter writes the stage to the state file, takes it, and measures it.
func (r *reconcile) enter(ctx context.Context, stage stage) error {
	r.stage = stage.name
	r.step(string(stage.name), stepLimit)
	if r.rollback == nil {
		r.sync.Stage = stage.name
		r.sync.Enter(stage.name, time.Now())
	}
	if err := r.save(); err != nil {
		return err
	}
	started := time.Now()
	err := stage.run(ctx)
	seconds := time.Since(started).Seconds()
	r.attempt.Seconds[stage.name] += seconds
	r.Metrics.Phase(string(stage.name), seconds)
	r.Log.Debug("took stage", "stage", stage.name, "revision", short(r.sync.Commit), "seconds", seconds)
	if err == nil {
		return nil
	}
	return stageError{stage: stage.name, err: err}
}

// stageError is an error with the stage that it arose in.
type stageError struct {
	stage record.Stage
	err   error
}

func (e stageError) Error() string { return e.err.Error() }
func (e stageError) Unwrap() error { return e.err }

func (r *reconcile) save() error {
	r.noteAttempt()
	if err := r.records.SaveSync(r.sync); err != nil {
		return fmt.Errorf("save sync: %w", err)
	}
	copied := r.sync.Copy()
	r.update(func(v *view) { v.sync = copied })
	return nil
}

// noteAttempt records what the attempt has done so far.
func (r *reconcile) noteAttempt() {
	if r.rollback != nil {
		r.sync.Rollback.Note(r.attempt)
		return
	}
	r.sync.Note(r.attempt)
}

// goalCommit is the commit that the attempt deploys.
func (r *reconcile) goalCommit() string {
	if r.rollback != nil {
		return r.rollback.to.Commit
	}
	return r.sync.Commit
}

func (r *reconcile) load(context.Context) error {
	state, err := desired.Load(r.checkout.FS, r.nodeOptions())
	if err != nil {
		return err
	}
	r.desired, r.node, r.sync.Stack = state, state.Node, state.Node.Stack
	return r.Notices.use(state.Node.Config)
}

func (r *reconcile) decrypt(context.Context) error {
	if err := r.desired.Decrypt(); err != nil {
		return err
	}
	r.Notices.learn(r.desired)
	return nil
}

func (r *reconcile) render(context.Context) error {
	stack, err := r.desired.Render()
	if err != nil {
		return err
	}
	r.stack = stack
	if err := r.readyChecks(); err != nil {
		return err
	}
	r.sync.Release = stack.Release
	r.attempt.Warnings = nil
	for _, warning := range stack.Warnings {
		text := warning.Error()
		if warning.Hint != "" {
			text += "; " + warning.Hint
		}
		r.attempt.Warnings = append(r.attempt.Warnings, text)
	}
	return nil
}

// makePlan compares the desired services, with the digests of their images, with the live
// ones. It refuses a secret whose content changed under an old version, before the first
// write.
func (r *reconcile) makePlan(ctx context.Context) error {
	r.sync.Inputs = r.checkout.Inputs() // recorded now, also for a sync that waits, is interrupted or is rolled back
	live, err := r.Engine.Observe(ctx, r.stack)
	if err != nil {
		return environmentError{err}
	}
	stack, unresolved, err := r.Engine.Resolve(ctx, live.LiveServices(), r.stack)
	if err != nil {
		return environmentError{err}
	}
	r.stack = stack
	if err := r.rerun(ctx, live); err != nil {
		return err
	}
	plan, err := deploy.Diff(live, r.stack)
	if err != nil {
		return err
	}
	r.unresolved = len(unresolved) > 0
	plan.Warnings = append(plan.Warnings, unresolved...)
	r.attempt.Warnings = append(r.attempt.Warnings, plan.Warnings...)
	if err := r.compareSecrets(ctx, live); err != nil {
		return err
	}
	r.plan, r.uses = plan, newUses(liveSecrets(live), r.stack)
	if r.attempt.Wrote {
		return nil // continued: the recorded plan stays the original one
	}
	r.attempt.PlanDigest = plan.Digest()
	r.sync.Deployment = r.deployment(live)
	r.attempt.Plan, err = json.Marshal(plan)
	if err != nil {
		return fmt.Errorf("record plan: %w", err)
	}
	return nil
}

// compareSecrets refuses versions whose content differs from the live one.
func (r *reconcile) compareSecrets(ctx context.Context, live *deploy.Live) error {
	known, err := r.Store.Fingerprints()
	if err != nil {
		return fmt.Errorf("read fingerprints: %w", err)
	}
	_, learned, err := r.Engine.Mismatched(ctx, live, r.stack, known, r.Store.FingerprintKey())
	if learnErr := r.Store.LearnFingerprints(learned); learnErr != nil {
		return fmt.Errorf("save fingerprints: %w", learnErr)
	}
	return err
}

// learnSecrets remembers the fingerprints of the secrets that were just created, so that
// the engine need not be asked about them.
func (r *reconcile) learnSecrets(ctx context.Context) error {
	created := map[string]bool{}
	for _, step := range r.plan.Steps {
		if step.Kind == deploy.Secret && step.Action == deploy.Create {
			created[step.Name] = true
		}
	}
	if len(created) == 0 {
		return nil
	}
	live, err := r.Engine.Observe(ctx, r.stack)
	if err != nil {
		return environmentError{err}
	}
	learned := map[string]string{}
	for _, secret := range r.stack.Secrets {
		if created[secret.Spec.Name] {
			learned[live.Secrets[secret.Spec.Name].ID] = secret.Value.Fingerprint(r.Store.FingerprintKey())
		}
	}
	return r.Store.LearnFingerprints(learned)
}

// apply writes the plan and nothing else.
func (r *reconcile) apply(ctx context.Context) error {
	if err := r.noteFound(); err != nil {
		return err
	}
	if r.plan.Empty() {
		return r.clearScaledDown()
	}
	if err := r.noteStart(); err != nil {
		return err
	}
	if err := r.sync.Apply(record.Write, time.Now()); err != nil {
		return err
	}
	r.attempt.Wrote = true
	if err := r.save(); err != nil {
		return err
	}
	if err := r.report(r.sync); err != nil {
		return err
	}
	r.Log.Info("applying", "revision", short(r.goalCommit()), "stack", r.stack.Name, "steps", len(r.plan.Steps), "plan", r.attempt.PlanDigest)
	book := r.openBook()
	err := r.roll(ctx, r.plan, r.stack, deploy.ApplyOptions{
		Metadata: r.metadata(), Wait: r.awaitWave,
		Progress: func(event deploy.Event) error {
			r.showProgress(report.EventText(event))
			return book.note(event)
		},
	})
	if err := book.close(err); err != nil {
		return err
	}
	return r.learnSecrets(ctx)
}

// verify waits until the services are what they declare, and asks the checks.
func (r *reconcile) verify(ctx context.Context) error {
	return r.unlessSuperseded(ctx, func(ctx context.Context) error {
		if err := r.converge(ctx); err != nil {
			return err
		}
		if err := r.checkMigrations(ctx); err != nil {
			return err
		}
		return r.ask(ctx)
	})
}

// converge waits for the services, unless config.yml says otherwise.
func (r *reconcile) converge(ctx context.Context) error {
	result, err := r.follow(ctx, r.stack, "")
	if err != nil {
		return err
	}
	return result.Err()
}

// showProgress shows how far the sync is to the users who watch it.
func (r *reconcile) showProgress(text string) {
	r.progressed()
	if r.sync.ID != 0 { // otherwise nothing has begun: a user only looks at a plan
		r.update(func(v *view) { v.progress = text })
	}
	r.progress(text)
	r.Log.Debug("progress", "revision", short(r.sync.Commit), "stage", r.stage, "progress", text)
}

func (r *reconcile) metadata() deploy.Metadata {
	meta := deploy.Metadata{
		"deployed-by": r.sync.Author,
		"deployed-at": r.sync.Deployed().UTC().Format(time.RFC3339),
		"git-commit":  r.goalCommit(),
		"environment": r.Settings.Environment,
		"node":        r.Settings.Node,
		"release-tag": r.sync.Release,
	}
	if r.rollback != nil {
		meta["deployed-by"], meta["release-tag"] = r.rollback.actor.String(), r.rollback.to.Release
		meta["deployed-at"] = r.sync.Rollback.Started.UTC().Format(time.RFC3339)
	}
	if r.node != nil {
		meta["task-id"], meta["pipeline-id"] = r.node.Variables["TASK_ID"].Value, r.node.Variables["PIPELINE_ID"].Value
	}
	return meta
}

// environmentError is a transient failure: the engine, the network or a registry caused
// it, and it is tried again automatically.
type environmentError struct{ err error }

func (e environmentError) Error() string { return e.err.Error() }
func (e environmentError) Unwrap() error { return e.err }

func short(commit string) string {
	if len(commit) > 10 {
		return commit[:10]
	}
	return commit
}
