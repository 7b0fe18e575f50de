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

// rollbackGoal is the good state to roll back to, and the reason.
type rollbackGoal struct {
	state    *record.GoodState // the state itself, or
	to       uint64            // its number; 0 for the default one
	services []string          // by full name or as the compose file has them; none for the whole stack

	actor  audit.Actor
	auto   bool // by the agent, not by a user
	reason string
	force  bool   // across migrations
	digest string // of the plan that the user has seen; "" if none was shown
	drift  bool   // it corrects a drift

	group *record.Group // whose failure is the reason
}

// rollbackRun is what only the reconcile of a rollback has. Its stages record their
// results in the sync's Rollback.
type rollbackRun struct {
	to     *record.GoodState
	actor  audit.Actor
	before *compose.Stack    // as it was
	all    *compose.Stack    // as it will be
	follow *compose.Stack    // the part that must become healthy
	left   *migrations.Check // of the revision that is replaced; nil if it is not known
}

// rollBack rolls the node back to a good state, in a sync of its own. Only the loop calls
// it. A refusal is given before anything is recorded.
func (a *Agent) rollBack(ctx context.Context, goal rollbackGoal, progress func(string)) outcome {
	r, err := a.prepareRollback(ctx, goal, progress)
	if r != nil {
		defer r.wipe()
	}
	if err != nil {
		return outcome{err: err}
	}
	if goal.digest != "" && goal.digest != r.plan.Digest() {
		return outcome{err: errPlanChanged}
	}
	if err := r.beginRollback(a.snapshot().sync); err != nil {
		return outcome{err: err}
	}
	return r.finishRollback(ctx, r.take(ctx, stage{record.StageApply, r.applyRollback}, stage{record.StageVerify, r.verifyRollback}))
}

// errPlanChanged refuses a plan that is not the one that the user has seen.
var errPlanChanged = fault.New(fault.Place{}, "look at the new plan: run `agent rollback` again",
	"nothing was changed: the plan has changed since it was shown")

// prepareRollback plans a rollback and checks whether it must be refused. The caller must
// wipe the reconcile that it gives, also if there is an error.
func (a *Agent) prepareRollback(ctx context.Context, goal rollbackGoal, progress func(string)) (*reconcile, error) {
	to, err := a.target(goal)
	if err != nil {
		return nil, err
	}
	last := a.snapshot().sync
	whole, err := newSync(gitsync.Revision{Commit: last.Commit, Ref: last.Ref, Author: last.Author, Subject: last.Subject}, record.OnRollback, time.Now())
	if err != nil {
		return nil, err
	}
	whole.Stack, whole.Release, whole.Inputs, whole.Actor = last.Stack, last.Release, maps.Clone(last.Inputs), goal.actor
	whole.Rollback = &record.Rollback{
		To: to.SyncID, Commit: to.Commit, Release: to.Release, Services: fullNames(to.StackName, goal.services),
		Auto: goal.auto, Reason: goal.reason, Force: goal.force, Started: whole.Started, By: goal.actor,
	}
	whole.Group, whole.DirtySince = goal.group, last.Dirty()
	if last.State == record.Failed {
		whole.Rollback.After = &record.Broken{Sync: last.ID, Stage: last.Stage, Error: last.Error}
	}
	if goal.drift {
		whole.Trigger, whole.Group = record.OnDrift, last.Group
		if before := last.Rollback; before != nil {
			kept := whole.Rollback // keeps who pinned it, why, and what had failed
			if kept.After = before.After; last.Error != "" {
				kept.After = &record.Broken{Sync: last.ID, Stage: last.FailedAt(), Error: last.Error}
			}
			kept.By, kept.Since, kept.Auto, kept.Reason = before.By, before.Since, before.Auto, before.Reason
		}
	}
	r := a.newRollback(whole, to, progress)
	for _, stage := range []stage{{record.StageLoad, r.loadGoodState}, {record.StagePlan, r.planRollback}, {record.StageGuard, r.guardRollback}} {
		if err := stage.run(ctx); err != nil {
			return r, err
		}
	}
	return r, nil
}

// fullNames gives the services by their names in the engine, sorted.
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

// newRollback makes the reconcile of a sync's rollback.
func (a *Agent) newRollback(whole *record.Sync, to *record.GoodState, progress func(string)) *reconcile {
	taken := whole.Rollback
	actor := whole.Actor
	if taken.Auto {
		actor = audit.Agent()
	}
	return &reconcile{
		Agent: a, progress: progress, sync: whole, attempt: taken.Attempt(), rollback: &rollbackRun{to: to, actor: actor},
	}
}

// beginRollback records a rollback before anything of it is done. A sync that was not
// over is superseded.
func (r *reconcile) beginRollback(last *record.Sync) error {
	if whole := r.sync; whole.ID == 0 && last.CarriesOn() {
		replaced, err := r.supersede(last, "superseded by a rollback to "+report.Target(whole.Rollback))
		if err == nil {
			err = r.record(replaced, nil) // GitLab gets only the end of the rollback, which has the same commit
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
	r.Log.Info("rolling back", "revision", short(r.sync.Commit), "to", report.Target(r.sync.Rollback), "sync", r.sync.ID, "actor", r.rollback.actor.String())
	return nil
}

// rollbackRule gives the rollback settings of config.yml: those of the failed revision,
// or, if that could not be read, those of the good state.
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

// rollBackFailure rolls back after a failed sync, if it or one that it superseded has
// written, config.yml allows it and there is a good state. It gives false if the sync
// stays failed.
func (r *reconcile) rollBackFailure(ctx context.Context) (outcome, bool) {
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
			r.sync.Hint = strings.TrimPrefix(r.sync.Hint+"; or roll back: agent rollback", "; ")
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
	to, err := r.rollbackBase(newest)
	if err != nil {
		return outcome{sync: r.sync, err: err}, true
	}
	taken.To, taken.Commit, taken.Release = to.SyncID, to.Commit, to.Release
	b := r.newRollback(r.sync, to, r.progress)
	b.rollback.left = r.migrations
	defer b.wipe()
	if err := b.beginRollback(r.sync); err != nil {
		return outcome{sync: r.sync, err: err}, true
	}
	return b.finishRollback(ctx, b.runRollback(ctx)), true
}

// runRollback runs all stages of a recorded rollback.
func (r *reconcile) runRollback(ctx context.Context) error {
	return r.take(ctx, stage{record.StageLoad, r.loadGoodState}, stage{record.StagePlan, r.planRollback}, stage{record.StageGuard, r.guardRollback},
		stage{record.StageApply, r.applyRollback}, stage{record.StageVerify, r.verifyRollback})
}

// carryOnRollback continues an interrupted rollback. It does not need the remote.
func (a *Agent) carryOnRollback(ctx context.Context, last *record.Sync, progress func(string)) outcome {
	whole := last.Copy()
	if whole.Seconds == nil {
		whole.Seconds = map[record.Stage]float64{}
	}
	to, err := a.stateOf(whole.Rollback.To)
	if err != nil {
		return outcome{err: err}
	}
	if to == nil {
		to = &record.GoodState{StackName: whole.Stack} // only to end the sync
		r := a.newRollback(whole, to, progress)
		return r.finishRollback(ctx, stageError{stage: record.StageLoad, err: fmt.Errorf("the good state of sync #%d is no longer recorded", whole.Rollback.To)})
	}
	a.Log.Info("continuing", "revision", short(whole.Commit), "sync", whole.ID, "stage", "rollback")
	r := a.newRollback(whole, to, progress)
	defer r.wipe()
	return r.finishRollback(ctx, r.runRollback(ctx))
}

// report queues the sync's state. A rollback queues only the outcome of the whole sync,
// at its end.
func (r *reconcile) report(sync *record.Sync) error {
	if r.rollback != nil {
		return nil
	}
	return r.Agent.report(sync)
}
