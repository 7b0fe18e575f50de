package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/migrations"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// way is where to go back to, and why.
type way struct {
	state    *record.GoodState // the state itself, or
	to       uint64            // its number; 0 for the one that suggests itself
	services []string          // by full name or as the compose file has them; none for the whole stack

	actor  audit.Actor
	auto   bool // nobody has asked for it
	reason string
	force  bool   // across migrations
	digest string // of the plan that a person has seen; "" where nobody has
	drift  bool   // what ran is put back

	group *record.Group // whose failure is the reason
}

// back is what a reconcile that goes back to a good state has beside the others.
// What its stages leave on record goes into the sync's Rollback.
type back struct {
	to     *record.GoodState
	actor  audit.Actor
	before *compose.Stack    // as it ran then
	all    *compose.Stack    // as it is to run now
	follow *compose.Stack    // what of it has to be well
	left   *migrations.Check // as the revision that is left asks for them; nil where that is not at hand
}

// goBack takes the node back to a good state, in a sync of its own. It is for the
// loop. What speaks against it is said before anything is written down.
func (a *Agent) goBack(ctx context.Context, w way, progress func(string)) outcome {
	r, err := a.readyBack(ctx, w, progress)
	if r != nil {
		defer r.wipe()
	}
	if err != nil {
		return outcome{err: err}
	}
	if w.digest != "" && w.digest != r.plan.Digest() {
		return outcome{err: errPlanChanged}
	}
	if err := r.beginBack(a.snapshot().sync); err != nil {
		return outcome{err: err}
	}
	return r.finishBack(ctx, r.take(ctx, stage{record.StageApply, r.applyBack}, stage{record.StageVerify, r.verifyBack}))
}

// errPlanChanged refuses a plan that is not the one a person has seen.
var errPlanChanged = fault.New(fault.Place{}, "look at the new plan: run `agent rollback` again",
	"nothing was changed: the plan is another now than the one that was shown")

// readyBack plans the way back and asks what may speak against it. The reconcile
// that it gives, also with an error, is to be wiped.
func (a *Agent) readyBack(ctx context.Context, w way, progress func(string)) (*reconcile, error) {
	to, err := a.target(w)
	if err != nil {
		return nil, err
	}
	last := a.snapshot().sync
	whole, err := newSync(gitsync.Revision{Commit: last.Commit, Ref: last.Ref, Author: last.Author, Subject: last.Subject}, record.OnRollback, time.Now())
	if err != nil {
		return nil, err
	}
	whole.Stack, whole.Release, whole.Inputs, whole.Actor = last.Stack, last.Release, maps.Clone(last.Inputs), w.actor
	whole.Rollback = &record.Rollback{
		To: to.SyncID, Commit: to.Commit, Release: to.Release, Services: fullNames(to.StackName, w.services),
		Auto: w.auto, Reason: w.reason, Force: w.force, Started: whole.Started, By: w.actor,
	}
	whole.Group, whole.DirtySince = w.group, last.Dirty()
	if last.State == record.Failed {
		whole.Rollback.After = &record.Broken{Sync: last.ID, Stage: last.Stage, Error: last.Error}
	}
	if w.drift {
		whole.Trigger, whole.Group = record.OnDrift, last.Group
		if before := last.Rollback; before != nil {
			kept := whole.Rollback // who pinned it, why, and what had failed, stays known
			if kept.After = before.After; last.Error != "" {
				kept.After = &record.Broken{Sync: last.ID, Stage: last.FailedAt(), Error: last.Error}
			}
			kept.By, kept.Since, kept.Auto, kept.Reason = before.By, before.Since, before.Auto, before.Reason
		}
	}
	r := a.backwards(whole, to, progress)
	for _, stage := range []stage{{record.StageLoad, r.loadBack}, {record.StagePlan, r.planBack}, {record.StageGuard, r.guardBack}} {
		if err := stage.run(ctx); err != nil {
			return r, err
		}
	}
	return r, nil
}

// fullNames are services as the engine names them, sorted.
func fullNames(stack string, services []string) []string {
	var names []string
	for _, name := range services {
		if !strings.HasPrefix(name, stack+"_") {
			name = stack + "_" + name
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// backwards makes the reconcile of a rollback that a sync takes.
func (a *Agent) backwards(whole *record.Sync, to *record.GoodState, progress func(string)) *reconcile {
	taken := whole.Rollback
	actor := whole.Actor
	if taken.Auto {
		actor = audit.Agent()
	}
	return &reconcile{
		Agent: a, progress: progress, sync: whole, attempt: taken.Attempt(), back: &back{to: to, actor: actor},
	}
}

// beginBack writes a rollback down before anything of it is done. A sync that was
// not over is so now.
func (r *reconcile) beginBack(last *record.Sync) error {
	if whole := r.sync; whole.ID == 0 && last.CarriesOn() {
		replaced, err := r.supersede(last, "superseded by a rollback to "+report.Target(whole.Rollback))
		if err == nil {
			err = r.record(replaced, nil) // GitLab gets the end of the rollback, of the same commit
		}
		if err != nil {
			return err
		}
	}
	if err := r.sync.Apply(record.StartRollback, time.Now()); err != nil {
		return err
	}
	r.sync.Stage = record.StageRollback
	r.sync.Enter(record.StageRollback, r.sync.Rollback.Started)
	if err := r.save(); err != nil {
		return err
	}
	r.Log.Info("going back", "revision", short(r.sync.Commit), "to", report.Target(r.sync.Rollback), "sync", r.sync.ID, "actor", r.back.actor.String())
	return nil
}

// rollbackRule is what config.yml says of going back: that of the revision that has
// failed, or, where it could not be read, that of the good state.
func (r *reconcile) rollbackRule(newest *record.GoodState) manifests.Rollback {
	if r.node != nil {
		return r.node.Config.Deployment.Rollback
	}
	if newest != nil {
		if config := r.configOf(newest); config != nil {
			return config.Deployment.Rollback
		}
	}
	return manifests.Rollback{Enabled: true}
}

// failedBack goes back after a sync that has failed, if it or one that it overtook
// has written, config.yml wants that and there is something to go back to. It gives
// false where the failure stands.
func (r *reconcile) failedBack(ctx context.Context) (outcome, bool) {
	if r.sync.Dirty() == 0 || r.sync.Transient {
		return outcome{}, false
	}
	newest, err := r.records.Newest()
	if err != nil {
		return outcome{sync: r.sync, err: fmt.Errorf("recall good states: %w", err)}, true
	}
	rule := r.rollbackRule(newest)
	if !rule.Enabled {
		return outcome{}, false
	}
	if !rule.Automatic {
		if newest != nil {
			r.sync.Hint = strings.TrimPrefix(r.sync.Hint+"; or go back: agent rollback", "; ")
		}
		return outcome{}, false
	}
	now := time.Now()
	taken := &record.Rollback{Auto: true, Started: now, By: audit.Agent(), Stage: r.sync.Stage}
	r.sync.Rollback = taken
	if newest == nil {
		taken.Finished, taken.Refused = now, "no good state is recorded yet"
		return outcome{}, false
	}
	to, err := r.ground(newest)
	if err != nil {
		return outcome{sync: r.sync, err: err}, true
	}
	taken.To, taken.Commit, taken.Release = to.SyncID, to.Commit, to.Release
	b := r.backwards(r.sync, to, r.progress)
	b.back.left = r.migrations
	defer b.wipe()
	if err := b.beginBack(r.sync); err != nil {
		return outcome{sync: r.sync, err: err}, true
	}
	return b.finishBack(ctx, b.runBack(ctx)), true
}

// runBack takes all stages of a rollback that is on record.
func (r *reconcile) runBack(ctx context.Context) error {
	return r.take(ctx, stage{record.StageLoad, r.loadBack}, stage{record.StagePlan, r.planBack}, stage{record.StageGuard, r.guardBack},
		stage{record.StageApply, r.applyBack}, stage{record.StageVerify, r.verifyBack})
}

// carryBack carries on with a rollback that was interrupted. It needs no remote.
func (a *Agent) carryBack(ctx context.Context, last *record.Sync, progress func(string)) outcome {
	whole := last.Copy()
	if whole.Seconds == nil {
		whole.Seconds = map[record.Stage]float64{}
	}
	to, err := a.stateOf(whole.Rollback.To)
	if err != nil {
		return outcome{err: err}
	}
	if to == nil {
		to = &record.GoodState{StackName: whole.Stack} // to end it with
		r := a.backwards(whole, to, progress)
		return r.finishBack(ctx, stageError{stage: record.StageLoad, err: fmt.Errorf("the good state of sync #%d is no longer recorded", whole.Rollback.To)})
	}
	a.Log.Info("carrying on", "revision", short(whole.Commit), "sync", whole.ID, "stage", "rollback")
	r := a.backwards(whole, to, progress)
	defer r.wipe()
	return r.finishBack(ctx, r.runBack(ctx))
}

// report tells of a sync; of a rollback the end is told, as that of the whole one.
func (r *reconcile) report(sync *record.Sync) error {
	if r.back != nil {
		return nil
	}
	return r.Agent.report(sync)
}
