package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/state"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// look asks the remote which revision is selected and does what is due: a sync
// when it is new, was interrupted, may be retried or is asked for; else one look
// at the live services. A rollback that was interrupted comes before anything else.
func (a *Agent) look(ctx context.Context, cause cause, progress func(string)) outcome {
	if last := a.snapshot().sync; last != nil && !last.Rollback.Over() {
		return a.carryBack(ctx, last, progress)
	}
	revision, err := a.Source.Select(ctx, a.Settings.Rule())
	if err != nil {
		if result, back := a.watchGroup(ctx, progress); back {
			return result // it needs no remote
		}
		return outcome{err: fmt.Errorf("look at the remote: %w", err)}
	}
	last := a.snapshot().sync
	a.update(func(v *view) { v.desired = known(v.desired, last, revision) })
	if cause.trigger == "manual" && pinnedByHand(last) && last.Commit == revision.Commit {
		return outcome{err: errPinned(last)}
	}
	if !due(last, revision, cause.trigger) {
		return a.watch(ctx, revision, progress)
	}
	return a.start(ctx, revision, cause, progress)
}

// known gives the selected revision with its author and subject, which only a
// fetch tells, where it was fetched before.
func known(desired *gitsync.Revision, last *state.Sync, selected gitsync.Revision) *gitsync.Revision {
	if desired != nil && desired.Commit == selected.Commit && desired.Ref == selected.Ref {
		return desired
	}
	if last != nil && last.Commit == selected.Commit {
		selected.Author, selected.Subject = last.Author, last.Subject
	}
	return &selected
}

// due says whether the selected revision needs a sync. One that failed here is
// held until something changes or a person asks for it.
func due(last *state.Sync, revision gitsync.Revision, trigger string) bool {
	if last == nil || last.Commit != revision.Commit || last.Retry || trigger == "manual" || resumed(last) {
		return true
	}
	// Interrupted, or waiting: its gates are asked again. A sync that was superseded by
	// what never began is due as well.
	return !last.State.Final() || last.State == state.Superseded
}

// watch compares the live services with those that were applied, and corrects a
// drift where config.yml says so. It costs one read of the engine, and once an hour
// those of a survey.
func (a *Agent) watch(ctx context.Context, revision gitsync.Revision, progress func(string)) outcome {
	result, back := a.watchGroup(ctx, progress)
	if back || result.err != nil {
		return result
	}
	last := a.snapshot().sync
	a.recallWebhook(ctx, revision)
	drift, err := a.observe(ctx)
	if err == nil {
		a.surveyWhenDue(ctx)
	}
	if err != nil || !inForce(last) || len(drift) == 0 {
		return outcome{sync: last, err: err}
	}
	applied := a.snapshot().applied
	if applied.Drift != string(manifests.DriftCorrect) {
		return outcome{sync: last}
	}
	if still, err := a.holdsStill(); still || err != nil {
		return outcome{sync: last, err: err}
	}
	if last.State == state.RolledBack {
		return a.goBack(ctx, way{state: applied, actor: audit.Agent(), auto: true, drift: true}, progress)
	}
	return a.start(ctx, revision, cause{trigger: "drift"}, progress)
}

// inForce says that what was applied and proven last is what should run: it was
// rolled out, or gone back to.
func inForce(last *state.Sync) bool {
	return last != nil && (last.State == state.Succeeded || last.State == state.RolledBack)
}

// unproven is the last sync, or one before it, that has written what runs and was
// not proven; 0 where what runs was.
func unproven(last *state.Sync) uint64 {
	switch {
	case last == nil || inForce(last):
		return 0
	case last.Touched:
		return last.ID
	}
	return last.Upon
}

// observe looks at the live services and notes their drift from what was applied
// and proven last. After a failed sync there is none: what runs is neither the
// old nor the new, and the failed sync says so.
func (a *Agent) observe(ctx context.Context) ([]deploy.Step, error) {
	v := a.snapshot()
	stack := stackOf(v.sync, v.applied)
	if stack == "" {
		return nil, nil
	}
	live, err := a.Engine.ObserveServices(ctx, stack)
	if err != nil {
		return nil, fmt.Errorf("look at the services: %w", err)
	}
	var drift []deploy.Step
	if v.applied != nil && inForce(v.sync) {
		want, err := a.expected(ctx, live, v)
		if err != nil {
			return nil, err
		}
		drift = deploy.Drift(live, want)
	}
	if len(drift) > 0 && len(v.drift) == 0 {
		a.Log.Warn("live services drifted", "stack", stack, "services", stepNames(drift))
	}
	a.update(func(v *view) { v.services, v.drift = deploy.Summarise(live), drift })
	a.Metrics.drift(len(drift))
	if v.applied != nil && inForce(v.sync) {
		return drift, a.announceDrift(v, drift)
	}
	return drift, nil
}

// stackOf names the stack that the last sync was about, or, where that did not
// come so far as to read it, the one that was applied last.
func stackOf(last *state.Sync, applied *state.Applied) string {
	switch {
	case last != nil && last.Stack != "":
		return last.Stack
	case applied != nil:
		return applied.StackName
	}
	return ""
}

// appliedStack is the part of the applied stack that drift is measured by.
func appliedStack(applied *state.Applied) (*compose.Stack, error) {
	stack := &compose.Stack{Name: applied.StackName, Owner: applied.Owner, Resolve: compose.Resolve(applied.Resolve)}
	if err := json.Unmarshal(applied.Services, &stack.Services); err != nil {
		return nil, fmt.Errorf("recall the applied services: %w", err)
	}
	return stack, nil
}

// start fetches the revision and takes it through the stages.
func (a *Agent) start(ctx context.Context, revision gitsync.Revision, cause cause, progress func(string)) outcome {
	if err := a.closeGroup(ctx, revision.Commit); err != nil {
		return outcome{err: err}
	}
	last := a.snapshot().sync
	if err := a.refuseRewritten(ctx, last, revision); err != nil {
		return outcome{err: err}
	}
	started := time.Now()
	checkout, err := a.fetch(ctx, revision)
	if err != nil {
		return outcome{err: fmt.Errorf("fetch %s: %w", short(revision.Commit), err)}
	}
	a.update(func(v *view) { v.desired = &checkout.Revision })
	if (cause.trigger == "commit" || pinnedByHand(last)) && !resumed(last) && !broughtBack(last) && concernsOthers(last, checkout) {
		return a.skip(ctx, last, checkout)
	}
	r := &reconcile{Agent: a, revision: checkout.Revision, checkout: checkout, progress: progress}
	if err := r.begin(last, cause); err != nil {
		return outcome{err: err}
	}
	seconds := time.Since(started).Seconds()
	r.sync.Seconds["fetch"] = seconds
	a.Metrics.phase("fetch", seconds)
	return r.finish(ctx, r.run(ctx))
}

// fetch brings a revision's files into memory; those of a sync that waits are there
// already.
func (a *Agent) fetch(ctx context.Context, revision gitsync.Revision) (*gitsync.Checkout, error) {
	last := a.snapshot().sync
	if last != nil && last.State == state.Waiting && a.fetched != nil &&
		a.fetched.Revision.Commit == revision.Commit && a.fetched.Revision.Ref == revision.Ref {
		return a.fetched, nil
	}
	checkout, err := a.Source.Fetch(ctx, revision, a.Settings.Paths())
	a.fetched = checkout
	return checkout, err
}

// concernsOthers says that a new commit changes nothing that this node reads, and
// that the one before came to an end of its own. What was superseded, or has not got
// past the gates, is still to be rolled out.
func concernsOthers(last *state.Sync, checkout *gitsync.Checkout) bool {
	return last != nil && last.Commit != checkout.Revision.Commit && last.State.Final() && !last.Retry &&
		last.State != state.Superseded && (last.State != state.Failed || last.Stage != "gate") &&
		len(last.Inputs) > 0 && checkout.Same(last.Inputs)
}

// skip records a commit that changes nothing here: it shares the outcome of the
// revision before it.
func (a *Agent) skip(ctx context.Context, last *state.Sync, checkout *gitsync.Checkout) outcome {
	now := time.Now()
	sync := newSync(checkout.Revision, "commit", now)
	sync.State, sync.Finished, sync.Unchanged = last.State, now, true
	sync.Stack, sync.Release, sync.Inputs = last.Stack, last.Release, maps.Clone(last.Inputs)
	sync.Summary = "unchanged: the commit changes nothing that this node reads"
	if last.State != state.Succeeded {
		sync.Stage, sync.Hint, sync.Error = last.Stage, last.Hint, last.Error
		if !last.Unchanged && last.Error != "" {
			sync.Error = fmt.Sprintf("unchanged since %s, which failed here: %s", short(last.Commit), last.Error)
		}
	}
	sync.Rollback, sync.Group, sync.Upon = stillPinned(last), inherited(last, sync.Commit), unproven(last)
	if err := errors.Join(a.report(sync), a.record(sync, nil)); err != nil {
		return outcome{err: err}
	}
	a.Log.Info("commit does not concern this node", "revision", short(sync.Commit))
	_, err := a.observe(ctx)
	return outcome{sync: sync, err: err}
}

// refuseRewritten keeps to the history that was synced: a branch that was
// rewritten is not followed unless the settings allow it.
func (a *Agent) refuseRewritten(ctx context.Context, last *state.Sync, revision gitsync.Revision) error {
	if last == nil || last.Commit == revision.Commit || last.Ref != revision.Ref || revision.Tag || a.Settings.AllowRewrite {
		return nil
	}
	descends, err := a.Source.Descends(ctx, last.Commit, revision.Commit)
	if err != nil {
		return fmt.Errorf("look at the history of %s: %w", revision.Ref, err)
	}
	if descends {
		return nil
	}
	refused := newSync(revision, "commit", time.Now())
	refused.State, refused.Stage, refused.Error = state.Failed, "select", errRewritten.Error()
	refused.Hint = "restore the branch, or set allow_rewrite and restart the agent"
	return errors.Join(fault.WithHint(errRewritten, refused.Hint), a.report(refused))
}
