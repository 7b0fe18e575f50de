package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
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
	if last := a.snapshot().sync; last.RollingBack() {
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
	if cause.trigger == record.OnRequest && last.PinnedByUser() && last.Commit == revision.Commit {
		return outcome{err: errPinned(last)}
	}
	if !last.DueFor(revision.Commit, cause.trigger) {
		return a.watch(ctx, revision, progress)
	}
	return a.start(ctx, revision, cause, progress)
}

// known gives the selected revision with its author and subject, which only a
// fetch tells, where it was fetched before.
func known(desired *gitsync.Revision, last *record.Sync, selected gitsync.Revision) *gitsync.Revision {
	if desired != nil && desired.Commit == selected.Commit && desired.Ref == selected.Ref {
		return desired
	}
	if last != nil && last.Commit == selected.Commit {
		selected.Author, selected.Subject = last.Author, last.Subject
	}
	return &selected
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
	if err != nil || !last.Verified() || len(drift) == 0 {
		return outcome{sync: last, err: err}
	}
	applied := a.snapshot().applied
	if applied.Drift != string(manifests.DriftCorrect) {
		return outcome{sync: last}
	}
	if still, err := a.holdsStill(); still || err != nil {
		return outcome{sync: last, err: err}
	}
	if last.State == record.RolledBack {
		return a.goBack(ctx, way{state: applied, actor: audit.Agent(), auto: true, drift: true}, progress)
	}
	return a.start(ctx, revision, cause{trigger: record.OnDrift}, progress)
}

// observe looks at the live services and notes their drift from what was applied
// and proven last. After a failed sync there is none: what runs is neither the
// old nor the new, and the failed sync says so.
func (a *Agent) observe(ctx context.Context) ([]deploy.Step, error) {
	v := a.snapshot()
	stack := report.StackOf(v.sync, v.applied)
	if stack == "" {
		return nil, nil
	}
	live, err := a.Engine.ObserveServices(ctx, stack)
	if err != nil {
		return nil, fmt.Errorf("look at the services: %w", err)
	}
	var drift []deploy.Step
	if v.applied != nil && v.sync.Verified() {
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
	if v.applied != nil && v.sync.Verified() {
		return drift, a.announceDrift(v, drift)
	}
	return drift, nil
}

// appliedStack is the part of the applied stack that drift is measured by.
func appliedStack(applied *record.GoodState) (*compose.Stack, error) {
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
	if (cause.trigger == record.OnCommit || last.PinnedByUser()) && !last.Resumed() && !last.RolledBackByGroup() && unconcerned(last, checkout) {
		return a.skip(ctx, last, checkout)
	}
	r := &reconcile{Agent: a, revision: checkout.Revision, checkout: checkout, progress: progress}
	if err := r.begin(last, cause); err != nil {
		return outcome{err: err}
	}
	seconds := time.Since(started).Seconds()
	r.attempt.Seconds["fetch"] = seconds
	a.Metrics.phase("fetch", seconds)
	return r.finish(ctx, r.run(ctx))
}

// fetch brings a revision's files into memory; those of a sync that waits are there
// already.
func (a *Agent) fetch(ctx context.Context, revision gitsync.Revision) (*gitsync.Checkout, error) {
	last := a.snapshot().sync
	if last != nil && last.State == record.Waiting && a.fetched != nil &&
		a.fetched.Revision.Commit == revision.Commit && a.fetched.Revision.Ref == revision.Ref {
		return a.fetched, nil
	}
	checkout, err := a.Source.Fetch(ctx, revision, a.Settings.Paths())
	a.fetched = checkout
	return checkout, err
}

// unconcerned reports whether a new commit changes no file that this node reads, and the
// commit before it came to an end of its own, which the new one shares.
func unconcerned(last *record.Sync, checkout *gitsync.Checkout) bool {
	return last.Settled() && last.Commit != checkout.Revision.Commit && len(last.Inputs) > 0 && checkout.Same(last.Inputs)
}

// shared is the event by which a commit that changes nothing shares the outcome of the
// one before it.
var shared = map[record.State]record.Event{
	record.Succeeded: record.ShareSuccess, record.Failed: record.ShareFailure, record.RolledBack: record.ShareRollback,
}

// skip records a commit that changes nothing here: it shares the outcome of the
// revision before it.
func (a *Agent) skip(ctx context.Context, last *record.Sync, checkout *gitsync.Checkout) outcome {
	now := time.Now()
	sync := &record.Sync{
		Commit: checkout.Revision.Commit, Ref: checkout.Revision.Ref, Author: checkout.Revision.Author, Subject: checkout.Revision.Subject,
		Trigger: record.OnCommit, Seconds: map[record.Stage]float64{},
	}
	if err := sync.Apply(shared[last.State], now); err != nil {
		return outcome{err: err}
	}
	sync.Stack, sync.Release, sync.Inputs = last.Stack, last.Release, maps.Clone(last.Inputs)
	sync.Summary = "unchanged: the commit changes nothing that this node reads"
	if last.State != record.Succeeded {
		sync.Stage, sync.Hint, sync.Error = last.Stage, last.Hint, last.Error
		if !last.Unchanged && last.Error != "" {
			sync.Error = fmt.Sprintf("unchanged since %s, which failed here: %s", short(last.Commit), last.Error)
		}
	}
	sync.Rollback, sync.Group, sync.DirtySince = last.SharedRollback(), last.NextGroup(sync.Commit), last.Dirty()
	if err := errors.Join(a.report(sync), a.record(sync, nil)); err != nil {
		return outcome{err: err}
	}
	a.Log.Info("commit does not concern this node", "revision", short(sync.Commit))
	_, err := a.observe(ctx)
	return outcome{sync: sync, err: err}
}

// refuseRewritten keeps to the history that was synced: a branch that was
// rewritten is not followed unless the settings allow it.
func (a *Agent) refuseRewritten(ctx context.Context, last *record.Sync, revision gitsync.Revision) error {
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
	now := time.Now()
	refused, err := newSync(revision, record.OnCommit, now)
	if err == nil {
		err = refused.Apply(record.Fail, now)
	}
	if err != nil {
		return err
	}
	refused.Stage, refused.Error = record.StageSelect, errRewritten.Error()
	refused.Hint = "restore the branch, or set allow_rewrite and restart the agent"
	return errors.Join(fault.WithHint(errRewritten, refused.Hint), a.report(refused))
}
