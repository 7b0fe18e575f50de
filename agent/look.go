package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/decision"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// look observes, decides and acts, until nothing is left to do before the next look.
func (a *Agent) look(ctx context.Context, cause cause, progress func(string)) outcome {
	seen := &sighting{observed: decision.Observed{Trigger: cause.trigger}}
	for {
		known, err := a.known()
		if err != nil {
			return outcome{err: err}
		}
		action := decision.Next(known, seen.observed, decision.Policy{AllowRewrite: a.Settings.AllowRewrite, Group: a.Statuses != nil})
		if ask := a.observation(action); ask != nil {
			if err := ask(ctx, seen); err != nil {
				return outcome{sync: seen.sync, err: err}
			}
			continue
		}
		return a.act(ctx, action, seen, cause, progress)
	}
}

// sighting is what a look has observed, for the decision and for the action after it.
type sighting struct {
	observed decision.Observed
	revision gitsync.Revision
	checkout *gitsync.Checkout
	fetching time.Duration // of the checkout
	sync     *record.Sync  // the last one, once the services were read
}

// known gives what is recorded of the stack.
func (a *Agent) known() (decision.Record, error) {
	v := a.snapshot()
	frozen, err := a.frozen(v.deployed)
	return decision.Record{
		Last: v.sync, Deployed: v.deployed, Paused: a.paused() != nil, Frozen: frozen,
		Corrects: v.deployed != nil && v.deployed.Drift == string(manifests.DriftCorrect),
	}, err
}

// observation gives the function that makes an observation; nil if the action is not an
// observation.
func (a *Agent) observation(action decision.Action) func(context.Context, *sighting) error {
	switch action {
	case decision.AskRemote:
		return a.askRemote
	case decision.AskGroup:
		return a.askGroup
	case decision.AskLineage:
		return a.askLineage
	case decision.AskFiles:
		return a.askFiles
	case decision.AskDrift:
		return a.askDrift
	case decision.Wait, decision.Unreachable, decision.CarryBack, decision.LeaveGroup, decision.RefusePinned,
		decision.RefuseRewrite, decision.Share, decision.Sync, decision.CorrectSync, decision.CorrectBack:
	}
	return nil
}

// act carries out an action.
func (a *Agent) act(ctx context.Context, action decision.Action, seen *sighting, why cause, progress func(string)) outcome {
	last := a.snapshot().sync
	switch action {
	case decision.Unreachable:
		return outcome{err: fmt.Errorf("look at the remote: %w", seen.observed.Remote.Err)}
	case decision.CarryBack:
		return a.carryOnRollback(ctx, last, progress)
	case decision.LeaveGroup:
		return a.leaveGroup(ctx, seen.observed.Group.Failed, progress)
	case decision.RefusePinned:
		return outcome{err: errPinned(last)}
	case decision.RefuseRewrite:
		return outcome{err: a.refuseRewritten(seen.revision)}
	case decision.Share:
		return a.share(ctx, last, seen.checkout)
	case decision.Sync:
		return a.start(ctx, seen, why, progress)
	case decision.CorrectSync:
		if err := a.askFiles(ctx, seen); err != nil {
			return outcome{sync: last, err: err}
		}
		return a.start(ctx, seen, cause{trigger: record.OnDrift}, progress)
	case decision.CorrectBack:
		return a.rollBack(ctx, rollbackGoal{state: a.snapshot().deployed, actor: audit.Agent(), auto: true, drift: true}, progress)
	case decision.Wait, decision.AskRemote, decision.AskGroup, decision.AskLineage, decision.AskFiles, decision.AskDrift:
	}
	return outcome{sync: last}
}

// askRemote asks which revision is selected.
func (a *Agent) askRemote(ctx context.Context, seen *sighting) error {
	revision, err := a.Source.Select(ctx, a.Settings.Rule())
	if err == nil {
		last := a.snapshot().sync
		a.update(func(v *view) { v.desired = selected(v.desired, last, revision) })
	}
	seen.revision = revision
	seen.observed.Remote = &decision.Remote{Err: err, Commit: revision.Commit, Ref: revision.Ref, Tag: revision.Tag}
	return nil
}

// askLineage asks how the selected commit relates to the last one.
func (a *Agent) askLineage(ctx context.Context, seen *sighting) error {
	last, lineage := a.snapshot().sync, decision.Follows
	descends, err := a.Source.Descends(ctx, last.Commit, seen.revision.Commit)
	if err == nil && !descends {
		lineage = decision.Diverged
		if descends, err = a.Source.Descends(ctx, seen.revision.Commit, last.Commit); descends {
			lineage = decision.Behind
		}
	}
	if err != nil {
		return fmt.Errorf("look at the history of %s: %w", seen.revision.Ref, err)
	}
	if lineage == decision.Behind {
		a.Log.Info("the remote selects an older commit than the last one", "revision", short(seen.revision.Commit), "last", short(last.Commit))
	}
	seen.observed.Lineage = &lineage
	return nil
}

// askFiles fetches the selected commit.
func (a *Agent) askFiles(ctx context.Context, seen *sighting) error {
	started, last := time.Now(), a.snapshot().sync
	checkout, err := a.fetch(ctx, seen.revision)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", short(seen.revision.Commit), err)
	}
	seen.checkout, seen.fetching = checkout, time.Since(started)
	seen.observed.Files = &decision.Files{Same: last != nil && len(last.Inputs) > 0 && checkout.Same(last.Inputs)}
	a.update(func(v *view) { v.desired = &checkout.Revision })
	return nil
}

// askDrift reads the live services. It costs one read of the engine, and once an hour
// those of a survey.
func (a *Agent) askDrift(ctx context.Context, seen *sighting) error {
	seen.sync = a.snapshot().sync
	if seen.observed.Remote.Err == nil {
		a.recallWebhook(ctx, seen.revision)
	}
	drift, err := a.observe(ctx)
	if err != nil {
		return err
	}
	a.surveyWhenDue(ctx)
	seen.observed.Drift = &decision.Drift{Services: len(drift)}
	return nil
}

// selected gives the selected revision, with its author and subject if it was fetched
// before: only a fetch reads those.
func selected(desired *gitsync.Revision, last *record.Sync, revision gitsync.Revision) *gitsync.Revision {
	if desired != nil && desired.Commit == revision.Commit && desired.Ref == revision.Ref {
		return desired
	}
	if last != nil && last.Commit == revision.Commit {
		revision.Author, revision.Subject = last.Author, last.Subject
	}
	return &revision
}

// observe reads the live services and notes their drift from the deployed good state.
// While unverified changes are deployed, no drift is noted: the failed sync reports them.
func (a *Agent) observe(ctx context.Context) ([]deploy.Step, error) {
	v := a.snapshot()
	stack := report.StackOf(v.sync, v.deployed)
	if stack == "" {
		return nil, nil
	}
	live, err := a.Engine.ObserveServices(ctx, stack)
	if err != nil {
		return nil, fmt.Errorf("look at the services: %w", err)
	}
	var drift []deploy.Step
	if v.deployed != nil && v.sync.Dirty() == 0 {
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
	a.Metrics.Drift(len(drift))
	if v.deployed != nil && v.sync.Dirty() == 0 {
		return drift, a.announceDrift(v, drift)
	}
	return drift, nil
}

// appliedStack gives the part of the applied stack that drift is compared with.
func appliedStack(applied *record.GoodState) (*compose.Stack, error) {
	stack := &compose.Stack{Name: applied.StackName, Owner: applied.Owner, Resolve: compose.Resolve(applied.Resolve)}
	if err := json.Unmarshal(applied.Services, &stack.Services); err != nil {
		return nil, fmt.Errorf("recall the applied services: %w", err)
	}
	return stack, nil
}

// start runs the stages for the fetched revision.
func (a *Agent) start(ctx context.Context, seen *sighting, cause cause, progress func(string)) outcome {
	r := &reconcile{Agent: a, revision: seen.checkout.Revision, checkout: seen.checkout, progress: progress}
	if err := r.begin(a.snapshot().sync, cause); err != nil {
		return outcome{err: err}
	}
	seconds := seen.fetching.Seconds()
	r.attempt.Seconds[record.StageFetch] = seconds
	a.Metrics.Phase(string(record.StageFetch), seconds)
	return r.finish(ctx, r.run(ctx))
}

// fetch loads a revision's files into memory. The files of a waiting sync are there
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

// shared is the event by which a commit that changes nothing shares the outcome of the
// one before it.
var shared = map[record.State]record.Event{
	record.Succeeded: record.ShareSuccess, record.Failed: record.ShareFailure, record.RolledBack: record.ShareRollback,
}

// share records a commit that changes nothing here: it shares the outcome of the
// revision before it.
func (a *Agent) share(ctx context.Context, last *record.Sync, checkout *gitsync.Checkout) outcome {
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

// refuseRewritten reports a branch whose history was rewritten, and does not follow it.
func (a *Agent) refuseRewritten(revision gitsync.Revision) error {
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
