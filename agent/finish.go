package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/state"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

func newSync(revision gitsync.Revision, trigger string, now time.Time) *state.Sync {
	return &state.Sync{
		Commit: revision.Commit, Ref: revision.Ref, Author: revision.Author, Subject: revision.Subject,
		Trigger: trigger, State: state.Pending, Started: now, Seconds: map[string]float64{},
	}
}

// begin writes the sync down before anything is done. One that was interrupted,
// or failed for a reason outside the revision, is carried on under its number;
// one that a newer revision overtook is superseded.
func (r *reconcile) begin(last *state.Sync, cause cause) error {
	if last != nil && !last.State.Final() && last.Commit != r.revision.Commit {
		overtaken := *last
		overtaken.State, overtaken.Finished = state.Superseded, time.Now()
		overtaken.Summary = "superseded by " + short(r.revision.Commit)
		if err := r.noteOvertaken(&overtaken); err != nil {
			return err
		}
		if err := errors.Join(r.report(&overtaken), r.record(&overtaken, nil)); err != nil {
			return err
		}
	}
	if last != nil && last.Commit == r.revision.Commit && (!last.State.Final() || last.Retry) {
		carried := *last
		r.waited = last.Waiting
		r.sync = &carried
		if cause.trigger == "manual" {
			r.sync.Trigger, r.sync.Actor = cause.trigger, cause.actor
		}
		if cause.override != nil {
			r.sync.Override = cause.override
		}
		r.sync.Finished, r.sync.Seconds, r.sync.Entered = time.Time{}, map[string]float64{}, maps.Clone(last.Entered)
		r.sync.Retry, r.sync.Error, r.sync.Hint, r.sync.Faults = false, "", "", nil
		if r.sync.State.Final() {
			r.sync.State = state.Pending
		}
		if carried.State != state.Waiting {
			r.Log.Info("carrying on", "revision", short(carried.Commit), "sync", carried.ID, "stage", carried.Stage)
		}
		return nil
	}
	r.again = last != nil && last.Commit == r.revision.Commit && last.State == state.Succeeded
	r.sync = newSync(r.revision, cause.trigger, time.Now())
	r.sync.Actor, r.sync.Override = cause.who(r.revision), cause.override
	r.sync.Group, r.sync.Upon = inherited(last, r.revision.Commit), unproven(last)
	r.Log.Info("syncing", "revision", short(r.revision.Commit), "ref", r.revision.Ref, "trigger", cause.trigger)
	return r.save()
}

// finish decides the outcome, writes it down and tells everyone.
func (r *reconcile) finish(ctx context.Context, err error) outcome {
	if err != nil && ctx.Err() != nil {
		return outcome{sync: r.sync, err: err} // the agent is stopping: the next start carries on
	}
	r.update(func(v *view) { v.progress, v.rollout = "", nil })
	switch {
	case errors.Is(err, errWaiting):
		return r.wait()
	case errors.Is(err, errOvertaken), errors.Is(err, errStopped):
		return outcome{sync: r.sync, err: err}
	}
	r.sync.Finished = time.Now()
	r.sync.Inputs = r.checkout.Inputs()
	if err != nil && !passing(err) {
		r.noteMigrations(ctx)
	}
	err = r.noteEnd(err)
	var applied *state.Applied
	if err == nil {
		applied, err = r.succeed()
	}
	if err != nil {
		r.fail(err)
		if done, went := r.failedBack(ctx); went {
			return done
		}
	}
	// The report is queued first: killed in between, the agent carries this sync
	// on and queues the same report, which the outbox takes once.
	if reportErr := r.tell(); reportErr != nil {
		return outcome{sync: r.sync, err: reportErr}
	}
	if saveErr := r.record(r.sync, applied); saveErr != nil {
		return outcome{sync: r.sync, err: saveErr}
	}
	if r.sync.Retry {
		return outcome{sync: r.sync, err: err}
	}
	_, lookErr := r.observe(ctx)
	if lookErr == nil && r.sync.State == state.Succeeded {
		r.surveyNow(ctx)
	}
	return outcome{sync: r.sync, err: lookErr}
}

// tell reports the outcome, unless someone only looked again at a commit that
// GitLab knows to be good.
func (r *reconcile) tell() error {
	if r.again && !r.sync.Touched && r.sync.State == state.Succeeded {
		return nil
	}
	if r.sync.Retry && r.sync.Touched && r.sync.Retries < quietRetries {
		return nil // GitLab goes on to see it running: a hiccup of the engine is no failed rollout
	}
	if r.sync.Retry && !r.sync.Touched && r.node != nil && len(r.node.Config.Others(r.Settings.Node)) > 0 {
		// It cannot begin yet, which is no failure that a group should go back for.
		return errors.Join(r.announce(r.sync), r.tellGitLab(r.sync, gitlab.Pending))
	}
	return r.report(r.sync)
}

// quietRetries is how often a rollout is tried again before GitLab hears of it.
const quietRetries = 3

// wait leaves the sync waiting; the next look asks the gates again.
func (r *reconcile) wait() outcome {
	if r.sync.Waiting != r.waited {
		r.Log.Info("waiting", "revision", short(r.sync.Commit), "reason", r.sync.Waiting)
	}
	if err := r.report(r.sync); err != nil {
		return outcome{err: err}
	}
	return outcome{sync: r.sync, err: r.save()}
}

func (r *reconcile) succeed() (*state.Applied, error) {
	r.sync.State, r.sync.Retry, r.sync.Error, r.sync.Hint, r.sync.Stage, r.sync.Waiting = state.Succeeded, false, "", "", "", ""
	r.sync.Faults, r.sync.Retries = nil, 0
	plan, err := r.begun()
	if err != nil {
		return nil, err
	}
	r.sync.Summary = summarise(plan)
	services, err := json.Marshal(r.stack.Services)
	if err != nil {
		return nil, fmt.Errorf("record what was applied: %w", err)
	}
	freezes, err := r.freezes()
	if err != nil {
		return nil, err
	}
	applied := &state.Applied{
		SyncID: r.sync.ID, Commit: r.sync.Commit, Release: r.sync.Release, At: r.sync.Finished,
		StackName: r.stack.Name, Owner: r.stack.Owner, Services: services, Drift: string(r.node.Config.Drift), Resolve: string(r.stack.Resolve),
		Migration: r.provenMigration(), Freezes: freezes,
	}
	return applied, errors.Join(r.noteObjects(applied), r.noteFiles(applied))
}

// fail is the one place where an error becomes an outcome.
func (r *reconcile) fail(err error) {
	r.sync.State, r.sync.Retry = state.Failed, passing(err)
	if r.sync.Retry {
		r.sync.Retries++
	}
	var at stageError
	if errors.As(err, &at) {
		r.sync.Stage, err = at.stage, at.err
	}
	r.sync.Summary, r.sync.Waiting = "", ""
	r.sync.Error, r.sync.Hint, r.sync.Faults = faults(err)
	r.Log.Error("sync failed", "revision", short(r.sync.Commit), "stage", r.sync.Stage, "error", r.sync.Error, "hint", r.sync.Hint)
}

// passing says that the fault is not the revision's but of what surrounds the
// agent, so that the same revision may succeed later.
func passing(err error) bool {
	var outside environmentError
	return errors.As(err, &outside) || errors.Is(err, deploy.ErrUnavailable) || errors.Is(err, deploy.ErrLogin) ||
		errors.Is(err, gitsync.ErrUnreachable) || errors.Is(err, gitsync.ErrAuth)
}

// faults gives the first of the faults that err joins, with the number of the
// others, and the list of all when there are several.
func faults(err error) (text, hint string, all []state.Fault) {
	for _, one := range fault.All(err) {
		all = append(all, state.Fault{Error: one.Error(), Hint: fault.Hint(one)})
	}
	text, hint = all[0].Error, all[0].Hint
	if len(all) == 1 {
		return text, hint, nil
	}
	return fmt.Sprintf("%s (and %d more)", text, len(all)-1), hint, all
}

// record writes a sync that is over, with what it applied, and tells the metrics.
func (a *Agent) record(sync *state.Sync, applied *state.Applied) error {
	if err := a.Store.SaveOutcome(sync, applied); err != nil {
		return fmt.Errorf("save sync: %w", err)
	}
	a.update(func(v *view) {
		v.sync = frozen(sync)
		if applied != nil {
			v.applied, v.asked, v.moved = applied, applied.At, nil
		}
	})
	a.Metrics.ended(a.snapshot().applied, sync)
	a.Metrics.wentBack(sync)
	if sync.State == state.Succeeded {
		a.Log.Info("sync succeeded", "revision", short(sync.Commit), "release", sync.Release, "summary", sync.Summary)
	}
	return nil
}

// report queues the sync's state for GitLab, and for the people whom config.yml
// names; it waits in the state file until they have it, and never holds a
// rollout up.
func (a *Agent) report(sync *state.Sync) error {
	return errors.Join(a.announce(sync), a.tellGitLab(sync, reportStates[sync.State]))
}

// tellGitLab queues a state for GitLab.
func (a *Agent) tellGitLab(sync *state.Sync, as gitlab.State) error {
	if a.Reports == nil {
		return nil
	}
	err := a.Reports.Enqueue(gitlab.Report{
		Commit: sync.Commit, Ref: sync.Ref, Name: "coin-agent/" + a.Settings.Owner(),
		State: as, Description: description(sync, a.Settings.Owner()),
	})
	if err != nil {
		return fmt.Errorf("queue report: %w", err)
	}
	return nil
}

// reportStates are what GitLab sees (design, "One reconcile").
var reportStates = map[state.Outcome]gitlab.State{
	state.Pending:    gitlab.Pending,
	state.Waiting:    gitlab.Pending,
	state.Running:    gitlab.Running,
	state.Succeeded:  gitlab.Success,
	state.Failed:     gitlab.Failed,
	state.RolledBack: gitlab.Failed,
	state.Superseded: gitlab.Canceled,
}
