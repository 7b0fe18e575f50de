package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/state"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// way is where to go back to, and why.
type way struct {
	state    *state.Applied // the state itself, or
	to       uint64         // its number; 0 for the one that suggests itself
	services []string       // by full name or as the compose file has them; none for the whole stack

	actor  audit.Actor
	auto   bool // nobody has asked for it
	reason string
	force  bool   // across migrations
	digest string // of the plan that a person has seen; "" where nobody has
	drift  bool   // what ran is put back

	group *state.Group // whose failure is the reason
}

// back is what a reconcile that goes back to a good state has beside the others.
// Its sync is a shadow of the whole one: what the stages write there goes into the
// Rollback of the whole one, which says itself what is left, and why.
type back struct {
	whole  *state.Sync
	to     *state.Applied
	before *compose.Stack // as it ran then
	all    *compose.Stack // as it is to run now
	follow *compose.Stack // what of it has to be well
	left   *migrations    // as the revision that is left asks for them; nil where that is not at hand
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
	return r.finishBack(ctx, r.take(ctx, stage{"apply", r.applyBack}, stage{"verify", r.verifyBack}))
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
	whole := newSync(gitsync.Revision{Commit: last.Commit, Ref: last.Ref, Author: last.Author, Subject: last.Subject}, "rollback", time.Now())
	whole.Stack, whole.Release, whole.Inputs, whole.Actor = last.Stack, last.Release, maps.Clone(last.Inputs), w.actor
	whole.Rollback = &state.Rollback{
		To: to.SyncID, Commit: to.Commit, Release: to.Release, Services: fullNames(to.StackName, w.services),
		Auto: w.auto, Reason: w.reason, Force: w.force, Started: whole.Started, By: w.actor,
	}
	whole.Group, whole.Upon = w.group, unproven(last)
	if last.State == state.Failed {
		whole.Rollback.After = &state.Broken{Sync: last.ID, Stage: last.Stage, Error: last.Error}
	}
	if w.drift {
		whole.Trigger, whole.Group = "drift", last.Group
		if before := last.Rollback; before != nil {
			kept := whole.Rollback // who pinned it, and why, stays known
			kept.By, kept.Since, kept.Auto, kept.Reason = before.By, before.Since, before.Auto, before.Reason
		}
	}
	r := a.backwards(whole, to, progress)
	for _, stage := range []stage{{"load", r.loadBack}, {"plan", r.planBack}, {"guard", r.guardBack}} {
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
func (a *Agent) backwards(whole *state.Sync, to *state.Applied, progress func(string)) *reconcile {
	taken := whole.Rollback
	actor := whole.Actor
	if taken.Auto {
		actor = audit.Agent()
	}
	return &reconcile{
		Agent: a, progress: progress, back: &back{whole: whole, to: to},
		sync: &state.Sync{
			ID: whole.ID, Commit: to.Commit, Ref: whole.Ref, Author: actor.String(), Stack: to.StackName, Release: to.Release,
			Trigger: "rollback", Actor: actor, State: state.Running, Started: taken.Started, Touched: taken.Touched,
			Plan: taken.Plan, PlanDigest: taken.PlanDigest, Seconds: map[string]float64{}, Migration: whole.Migration, Rollback: taken,
		},
	}
}

// beginBack writes a rollback down before anything of it is done. A sync that was
// not over is so now.
func (r *reconcile) beginBack(last *state.Sync) error {
	if !last.State.Final() {
		overtaken := *last
		overtaken.State, overtaken.Finished = state.Superseded, time.Now()
		overtaken.Summary = "superseded by a rollback to " + named(r.back.whole.Rollback)
		if err := errors.Join(r.noteOvertaken(&overtaken), r.record(&overtaken, nil)); err != nil {
			return err
		}
	}
	if err := r.save(); err != nil {
		return err
	}
	r.Log.Info("going back", "revision", short(r.back.whole.Commit), "to", named(r.back.whole.Rollback), "sync", r.sync.ID, "actor", r.sync.Actor.String())
	return nil
}

// rollbackRule is what config.yml says of going back: that of the revision that has
// failed, or, where it could not be read, that of the good state.
func (r *reconcile) rollbackRule(newest *state.Applied) manifests.Rollback {
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
	if unproven(r.sync) == 0 || r.sync.Retry {
		return outcome{}, false
	}
	newest, err := r.Store.Newest()
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
	taken := &state.Rollback{Auto: true, Started: now, By: audit.Agent(), Stage: r.sync.Stage}
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
	return r.take(ctx, stage{"load", r.loadBack}, stage{"plan", r.planBack}, stage{"guard", r.guardBack},
		stage{"apply", r.applyBack}, stage{"verify", r.verifyBack})
}

// carryBack carries on with a rollback that was interrupted. It needs no remote.
func (a *Agent) carryBack(ctx context.Context, last *state.Sync, progress func(string)) outcome {
	whole := frozen(last)
	if whole.Seconds == nil {
		whole.Seconds = map[string]float64{}
	}
	to, err := a.stateOf(whole.Rollback.To)
	if err != nil {
		return outcome{err: err}
	}
	if to == nil {
		to = &state.Applied{StackName: whole.Stack} // to end it with
		r := a.backwards(whole, to, progress)
		return r.finishBack(ctx, stageError{stage: "load", err: fmt.Errorf("the good state of sync #%d is no longer recorded", whole.Rollback.To)})
	}
	a.Log.Info("carrying on", "revision", short(whole.Commit), "sync", whole.ID, "stage", "rollback")
	r := a.backwards(whole, to, progress)
	defer r.wipe()
	return r.finishBack(ctx, r.runBack(ctx))
}

// fold takes what the stages have written into the whole sync, which is the one to
// save.
func (b *back) fold(shadow *state.Sync) *state.Sync {
	whole, taken := b.whole, b.whole.Rollback
	taken.Touched, taken.Plan, taken.PlanDigest = shadow.Touched, shadow.Plan, shadow.PlanDigest
	taken.ServicesOf, taken.Checks, taken.Seconds = shadow.Services, shadow.Checks, shadow.Seconds
	taken.Warnings = shadow.Warnings
	whole.State, whole.Stage, whole.Finished, whole.Migration = state.Running, "rollback", time.Time{}, shadow.Migration
	whole.Touched = whole.Touched || taken.Touched
	if whole.Entered["rollback"].IsZero() {
		whole.Enter("rollback", taken.Started)
	}
	return whole
}

// report tells of a sync; of a rollback the end is told, as that of the whole one.
func (r *reconcile) report(sync *state.Sync) error {
	if r.back != nil && sync == r.sync {
		return nil
	}
	return r.Agent.report(sync)
}
