package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// Rollback is the good state that a sync returns to, and the reason.
type Rollback struct {
	State    *record.GoodState // the state itself, or
	To       uint64            // its number; 0 for the default one
	Services []string          // by full name or as the compose file has them; none for the whole stack

	Actor  audit.Actor
	Auto   bool // by the agent, not by a user
	Reason string
	Force  bool   // across migrations
	Digest string // of the plan that the user has seen; "" if none was shown
	Drift  bool   // it corrects a drift

	Correction Correction // of the drift

	Group *record.Group // whose failure is the reason
}

// RollbackPlan is what a rollback would do.
type RollbackPlan struct {
	To     *record.GoodState
	Sync   *record.Sync // with its Rollback; it is not recorded
	Digest string
	Plan   deploy.RecordedPlan
}

// back is the goal of an attempt that returns to a good state. Its stages record their
// results in the sync's Rollback.
type back struct {
	a      *attempt
	to     *record.GoodState
	actor  audit.Actor
	before *compose.Stack // as it was
	now    *compose.Stack // as it is deployed, with the ignored fields that no unverified sync wrote
	all    *compose.Stack // as it will be
	follow *compose.Stack // the part that must become healthy

	ignored map[string][]compose.Ignored // all fields that the deployed state ignores
	live    []string                     // services of the stack that this agent made or a user adopted
}

// writeBack are the stages of a rollback after those that only look.
func writeBack(b *back) []stage {
	return append([]stage{{record.StageGuard, dueJobs{b}.stop}}, b.a.write()...)
}

// runBack takes all stages of a rollback.
func runBack(ctx context.Context, b *back) error {
	return b.a.take(ctx, slices.Concat(b.a.prepare(), writeBack(b)))
}

// Back returns the stack to a good state, in a sync of its own. A refusal is given before
// anything is recorded.
func (r *Rollouts) Back(ctx context.Context, base Base, goal Rollback, progress func(string)) Outcome {
	if r.use.Gates.Observe {
		return Outcome{Err: errObserves}
	}
	b, err := r.prepareBack(ctx, base, goal, progress)
	if b != nil {
		defer b.a.wipe()
	}
	if err != nil && b != nil {
		return Outcome{Err: err, To: b.to}
	}
	if err != nil {
		return Outcome{Err: err}
	}
	if goal.Digest != "" && goal.Digest != b.a.plan.Digest() {
		return Outcome{Err: errPlanChanged}
	}
	if err := b.begin(); err != nil {
		return Outcome{Err: err}
	}
	return b.finish(ctx, b.a.take(ctx, writeBack(b)))
}

// errObserves refuses what an agent that only observes does not do.
var errObserves = fault.New(fault.Place{}, "remove `mode: observe` from agent.yml, and run `systemctl restart coin-agent`",
	"nothing was changed: the agent only observes (mode: observe)")

// errPlanChanged refuses a plan that is not the one that the user has seen.
var errPlanChanged = fault.New(fault.Place{}, "look at the new plan: run `agent rollback` again",
	"nothing was changed: the plan has changed since it was shown")

// PlanBack says what a rollback would do. It changes nothing.
func (r *Rollouts) PlanBack(ctx context.Context, base Base, goal Rollback) (*RollbackPlan, error) {
	b, err := r.prepareBack(ctx, base, goal, func(string) {})
	if b != nil {
		defer b.a.wipe()
	}
	if err != nil {
		return nil, err
	}
	return &RollbackPlan{To: b.to, Sync: b.a.sync, Digest: b.a.note.PlanDigest, Plan: b.a.plan.Recorded()}, nil
}

// prepareBack plans a rollback and checks whether it must be refused. The caller must wipe
// the attempt that it gives, also if there is an error.
func (r *Rollouts) prepareBack(ctx context.Context, base Base, goal Rollback, progress func(string)) (*back, error) {
	to, err := r.target(base, goal)
	if err != nil {
		return nil, err
	}
	sync, err := backSync(base, to, goal)
	if err != nil {
		return nil, err
	}
	b := r.newBack(base, sync, to, progress)
	for _, stage := range b.a.prepare() { // nothing is on record yet
		if err := b.a.inTime(ctx, stage); err != nil {
			return b, err
		}
	}
	return b, nil
}

// backSync makes the sync of a rollback.
func backSync(base Base, to *record.GoodState, goal Rollback) (*record.Sync, error) {
	last, now := base.Last, time.Now()
	revision := gitsync.Revision{Commit: last.Commit, Ref: last.Ref, Author: last.Author, Subject: last.Subject}
	sync, err := NewSync(revision, record.OnRollback, record.Begin, now)
	if err != nil {
		return nil, err
	}
	services, err := namedBack(base, to, goal)
	if err != nil {
		return nil, err
	}
	sync.Stack, sync.Release, sync.Inputs, sync.Actor = report.StackOf(last, base.Deployed), last.Release, maps.Clone(last.Inputs), goal.Actor
	taken := &record.Rollback{
		To: to.SyncID, Commit: to.Commit, Release: to.Release, Services: services,
		Auto: goal.Auto, Reason: goal.Reason, Force: goal.Force, Started: now, By: goal.Actor,
	}
	sync.Rollback, sync.Group, sync.DirtySince, sync.Chosen = taken, goal.Group, last.Dirty(), last.Chosen
	if last.State == record.Failed {
		taken.After = &record.Broken{Sync: last.ID, Stage: last.Stage, Error: last.Error}
	}
	if !goal.Drift {
		return sync, nil
	}
	sync.Trigger, sync.Group = record.OnDrift, last.Group
	sync.Corrects, sync.Leaves = goal.Correction.Fields, goal.Correction.Leaves
	if last.Held() {
		sync.Rules = last.Rules // other rules judge the commit again
	}
	if before := last.Rollback; before != nil { // keeps who pinned it, why, and what had failed
		if taken.After = before.After; last.Error != "" {
			taken.After = &record.Broken{Sync: last.ID, Stage: last.FailedAt(), Error: last.Error}
		}
		taken.By, taken.Since, taken.Auto, taken.Reason = before.By, before.Since, before.Auto, before.Reason
	}
	return sync, nil
}

// newBack makes the attempt of a sync's rollback.
func (r *Rollouts) newBack(base Base, sync *record.Sync, to *record.GoodState, progress func(string)) *back {
	a := &attempt{use: r.use, cron: r.cron, base: base, sync: sync, note: sync.Rollback.Attempt(), commit: to.Commit, progress: progress}
	b := &back{a: a, to: to, actor: sync.Actor}
	if sync.Rollback.Auto {
		b.actor = audit.Agent()
	}
	a.goal, a.database, a.journal = b, &database{a: a}, journal.New(r.use.Audit, b.entry)
	return b
}

// begin records a rollback before anything of it is done. A sync that was not over is
// superseded.
func (b *back) begin() error {
	a, last := b.a, b.a.base.Last
	if a.sync.ID == 0 && last.CarriesOn() {
		replaced, err := a.supersede("superseded by a rollback to " + report.Target(a.sync.Rollback))
		if err == nil {
			err = a.use.Ledger.End(replaced, nil) // GitLab gets only the end of the rollback, which has the same commit
		}
		if err != nil {
			return err
		}
	}
	if err := a.sync.Apply(record.StartRollback, time.Now()); err != nil {
		return err
	}
	a.sync.Stage = record.StageRollback
	a.sync.Enter(record.StageRollback, a.sync.Rollback.Started)
	if err := a.save(); err != nil {
		return err
	}
	a.use.Log.Info("rolling back", "revision", record.Short(a.sync.Commit), "to", report.Target(a.sync.Rollback), "sync", a.sync.ID, "actor", b.actor.String())
	return nil
}

// CarryOnBack continues the last sync's interrupted rollback. It does not need the remote.
func (r *Rollouts) CarryOnBack(ctx context.Context, base Base, progress func(string)) Outcome {
	sync := base.Last.Copy()
	if sync.Seconds == nil {
		sync.Seconds = map[record.Stage]float64{}
	}
	to, err := r.stateOf(base, sync.Rollback.To)
	if err != nil {
		return Outcome{Err: err}
	}
	if to == nil {
		b := r.newBack(base, sync, &record.GoodState{StackName: sync.Stack}, progress) // only to end the sync
		return b.finish(ctx, stageError{stage: record.StageLoad, err: fmt.Errorf("the good state of sync #%d is no longer recorded", sync.Rollback.To)})
	}
	r.use.Log.Info("continuing", "revision", record.Short(sync.Commit), "sync", sync.ID, "stage", "rollback")
	b := r.newBack(base, sync, to, progress)
	defer b.a.wipe()
	return b.finish(ctx, runBack(ctx, b))
}

// backAfter rolls back after a failed sync, if it or one that it superseded has written,
// config.yml allows it and there is a good state. It gives false if the sync stays failed.
func (r *Rollouts) backAfter(ctx context.Context, a *attempt) (Outcome, bool) {
	if a.sync.Dirty() == 0 || a.sync.Transient || a.use.Gates.Observe {
		return Outcome{}, false
	}
	newest, err := a.use.Records.Newest()
	if err != nil {
		return Outcome{Sync: a.sync, Err: fmt.Errorf("recall good states: %w", err)}, true
	}
	rule := r.rule(a.config(), newest)
	if !rule.Enabled {
		return Outcome{}, false
	}
	if !rule.Automatic {
		if newest != nil {
			a.sync.Hint = strings.TrimPrefix(a.sync.Hint+"; or roll back: agent rollback", "; ")
		}
		return Outcome{}, false
	}
	now := time.Now()
	taken := &record.Rollback{Auto: true, Started: now, By: audit.Agent(), Stage: a.sync.Stage}
	a.sync.Rollback = taken
	if newest == nil {
		taken.Finished, taken.Refused = now, "no good state is recorded yet"
		return Outcome{}, false
	}
	to, err := r.baseOf(a.base, a.sync.Group, newest)
	if err != nil {
		return Outcome{Sync: a.sync, Err: err}, true
	}
	taken.To, taken.Commit, taken.Release = to.SyncID, to.Commit, to.Release
	b := r.newBack(a.base, a.sync, to, a.progress)
	b.a.database.left = a.database.check
	defer b.a.wipe()
	if err := b.begin(); err != nil {
		return Outcome{Sync: a.sync, Err: err}, true
	}
	return b.finish(ctx, runBack(ctx, b)), true
}

// rule gives the rollback settings that hold for the failed revision, or, if its config.yml
// could not be read, those of the newest good state, which may be nil.
func (r *Rollouts) rule(failed *manifests.Config, newest *record.GoodState) manifests.Rollback {
	if failed != nil {
		return failed.Deployment.Rollback
	}
	if newest != nil {
		if config := r.inForce(newest); config != nil {
			return config.Deployment.Rollback
		}
	}
	return manifests.Rollback{Enabled: true}
}

// baseOf gives the good state that a failed node rolls back to: the newest one, or, as on
// the other nodes, the one from before a group that never became complete.
func (r *Rollouts) baseOf(base Base, group *record.Group, newest *record.GoodState) (*record.GoodState, error) {
	if group != nil && !group.Complete {
		before, err := r.stateOf(base, group.Base)
		if before != nil || err != nil {
			return before, err
		}
	}
	return newest, nil
}
