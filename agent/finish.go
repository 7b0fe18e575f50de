package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

func newSync(revision gitsync.Revision, trigger record.Trigger, now time.Time) (*record.Sync, error) {
	sync := &record.Sync{
		Commit: revision.Commit, Ref: revision.Ref, Author: revision.Author, Subject: revision.Subject,
		Trigger: trigger, Seconds: map[record.Stage]float64{},
	}
	return sync, sync.Apply(record.Begin, now)
}

// begin records the sync before anything is done. A sync that was interrupted, or that
// failed with a transient failure, continues under its number. A sync of an older
// revision is superseded.
func (r *reconcile) begin(last *record.Sync, cause cause) error {
	if last.CarriesOn() && last.Commit != r.revision.Commit {
		replaced, err := r.supersede(last, "superseded by "+short(r.revision.Commit))
		if err != nil {
			return err
		}
		if err := errors.Join(r.report(replaced), r.record(replaced, nil)); err != nil {
			return err
		}
	}
	if last.CarriesOn() && last.Commit == r.revision.Commit {
		continued := *last
		r.waited = last.Waiting
		r.sync = &continued
		if cause.trigger == record.OnRequest {
			r.sync.Trigger, r.sync.Actor = cause.trigger, cause.actor
		}
		if cause.override != nil {
			r.sync.Override = cause.override
		}
		r.sync.Seconds, r.sync.Entered = map[record.Stage]float64{}, maps.Clone(last.Entered)
		r.attempt = r.sync.Attempt()
		if err := r.sync.Apply(record.CarryOn, time.Now()); err != nil {
			return err
		}
		if last.State != record.Waiting {
			r.Log.Info("continuing", "revision", short(continued.Commit), "sync", continued.ID, "stage", continued.Stage)
		}
		return nil
	}
	r.known = last != nil && last.Commit == r.revision.Commit && last.State == record.Succeeded
	var err error
	if r.sync, err = newSync(r.revision, cause.trigger, time.Now()); err != nil {
		return err
	}
	r.attempt = r.sync.Attempt()
	r.sync.Actor, r.sync.Override = cause.who(r.revision), cause.override
	r.sync.Group, r.sync.DirtySince = last.NextGroup(r.revision.Commit), last.Dirty()
	r.Log.Info("syncing", "revision", short(r.revision.Commit), "ref", r.revision.Ref, "trigger", cause.trigger)
	return r.save()
}

// supersede ends a sync that another one replaces before it has finished.
func (r *reconcile) supersede(last *record.Sync, summary string) (*record.Sync, error) {
	replaced := last.Copy()
	if err := replaced.Apply(record.Supersede, time.Now()); err != nil {
		return nil, err
	}
	replaced.Summary = summary
	return replaced, r.noteSuperseded(replaced)
}

// finish decides the outcome, records it and reports it.
func (r *reconcile) finish(ctx context.Context, err error) outcome {
	if err != nil && ctx.Err() != nil {
		return outcome{sync: r.sync, err: err} // the agent is stopping: the next start continues
	}
	r.update(func(v *view) { v.progress, v.rollout = "", nil })
	switch {
	case errors.Is(err, errWaiting):
		return r.wait()
	case errors.Is(err, errSuperseded), errors.Is(err, errStopped):
		return outcome{sync: r.sync, err: err}
	}
	r.noteAttempt()
	r.sync.Inputs = r.checkout.Inputs()
	if err != nil && !transient(err) {
		r.noteMigrations(ctx)
	}
	err = r.noteEnd(err)
	var applied *record.GoodState
	if err == nil {
		applied, err = r.succeed()
	}
	if err != nil {
		if failErr := r.fail(err); failErr != nil {
			return outcome{sync: r.sync, err: failErr}
		}
		if done, went := r.rollBackFailure(ctx); went {
			return done
		}
	}
	// The report is queued first: if the agent is killed in between, it continues this sync
	// and queues the same report, which the outbox takes once.
	if reportErr := r.reportOutcome(); reportErr != nil {
		return outcome{sync: r.sync, err: reportErr}
	}
	if saveErr := r.record(r.sync, applied); saveErr != nil {
		return outcome{sync: r.sync, err: saveErr}
	}
	if r.sync.Transient {
		return outcome{sync: r.sync, err: err}
	}
	_, lookErr := r.observe(ctx)
	if lookErr == nil && r.sync.State == record.Succeeded {
		r.surveyNow(ctx)
	}
	return outcome{sync: r.sync, err: lookErr}
}

// reportOutcome reports the outcome, unless a user only asked for another look at a
// commit that GitLab knows to be good.
func (r *reconcile) reportOutcome() error {
	if r.known && !r.sync.Wrote && r.sync.State == record.Succeeded {
		return nil
	}
	if r.sync.Transient && r.sync.Wrote && r.sync.Retries < quietRetries {
		return nil // GitLab still shows it running: a transient failure of the engine is not a failed rollout
	}
	if r.sync.Transient && !r.sync.Wrote {
		// The sync cannot begin yet, and is tried again: the commit's entry stays open until
		// then.
		return errors.Join(r.announce(r.sync), r.queueStatus(r.sync, gitlab.Pending))
	}
	return r.report(r.sync)
}

// quietRetries is how often a rollout is tried again before the failure is reported to
// GitLab.
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

func (r *reconcile) succeed() (*record.GoodState, error) {
	plan, err := r.begun()
	if err != nil {
		return nil, err
	}
	r.sync.Summary = report.Summary(plan)
	if err := r.sync.Apply(record.Succeed, time.Now()); err != nil {
		return nil, err
	}
	services, err := json.Marshal(r.stack.Services)
	if err != nil {
		return nil, fmt.Errorf("record what was applied: %w", err)
	}
	freezes, err := r.freezes()
	if err != nil {
		return nil, err
	}
	applied := &record.GoodState{
		SyncID: r.sync.ID, Commit: r.sync.Commit, Release: r.sync.Release, At: r.sync.Finished,
		StackName: r.stack.Name, Owner: r.stack.Owner, Services: services, Drift: string(r.node.Config.Drift), Resolve: string(r.stack.Resolve),
		Migration: r.verifiedMigration(), Freezes: freezes,
	}
	return applied, errors.Join(r.noteObjects(applied), r.noteFiles(applied))
}

// fail is the one place where an error becomes an outcome.
func (r *reconcile) fail(err error) error {
	if applyErr := r.sync.Apply(record.Fail, time.Now()); applyErr != nil {
		return applyErr
	}
	r.sync.Transient = transient(err)
	if r.sync.Transient {
		r.sync.Retries++
	}
	var at stageError
	if errors.As(err, &at) {
		r.sync.Stage, err = at.stage, at.err
	}
	r.sync.Error, r.sync.Hint, r.sync.Faults = faults(err)
	r.Log.Error("sync failed", "revision", short(r.sync.Commit), "stage", r.sync.Stage, "error", r.sync.Error, "hint", r.sync.Hint)
	return nil
}

// transient reports whether the engine, the network or a registry caused the failure, so
// that the same revision may succeed later.
func transient(err error) bool {
	var outside environmentError
	return errors.As(err, &outside) || errors.Is(err, deploy.ErrUnavailable) || errors.Is(err, deploy.ErrLogin) ||
		errors.Is(err, gitsync.ErrUnreachable) || errors.Is(err, gitsync.ErrAuth)
}

// faults gives the first of the faults that err joins, with the number of the
// others, and the list of all when there are several.
func faults(err error) (text, hint string, all []record.Fault) {
	for _, one := range fault.All(err) {
		all = append(all, record.Fault{Error: one.Error(), Hint: fault.Hint(one)})
	}
	text, hint = all[0].Error, all[0].Hint
	if len(all) == 1 {
		return text, hint, nil
	}
	return fmt.Sprintf("%s (and %d more)", text, len(all)-1), hint, all
}

// record writes a sync that is over, with its good state, and updates the metrics.
func (a *Agent) record(sync *record.Sync, applied *record.GoodState) error {
	if err := a.records.SaveOutcome(sync, applied); err != nil {
		return fmt.Errorf("save sync: %w", err)
	}
	a.update(func(v *view) {
		v.sync = sync.Copy()
		if applied != nil {
			v.deployed, v.asked, v.moved = applied, applied.At, nil
		}
	})
	a.Metrics.Ended(a.snapshot().deployed, sync)
	a.Metrics.RolledBack(sync)
	if sync.State == record.Succeeded {
		a.Log.Info("sync succeeded", "revision", short(sync.Commit), "release", sync.Release, "summary", sync.Summary)
	}
	return nil
}

// report queues the sync's state for GitLab and for the receivers in config.yml. It stays
// in the state file until it is delivered, and never delays a rollout.
func (a *Agent) report(sync *record.Sync) error {
	return errors.Join(a.announce(sync), a.queueStatus(sync, reportStates[sync.State]))
}

// queueStatus queues a commit status for GitLab.
func (a *Agent) queueStatus(sync *record.Sync, as gitlab.State) error {
	if a.Reports == nil {
		return nil
	}
	err := a.Reports.Enqueue(gitlab.Report{
		Commit: sync.Commit, Ref: sync.Ref, Name: "coin-agent/" + a.Settings.Owner(),
		State: as, Description: report.Description(sync, a.Settings.Owner()),
	})
	if err != nil {
		return fmt.Errorf("queue report: %w", err)
	}
	return nil
}

// reportStates are the states that GitLab shows (design, "One reconcile").
var reportStates = map[record.State]gitlab.State{
	record.Pending:    gitlab.Pending,
	record.Waiting:    gitlab.Pending,
	record.Running:    gitlab.Running,
	record.Succeeded:  gitlab.Success,
	record.Failed:     gitlab.Failed,
	record.RolledBack: gitlab.Failed,
	record.Superseded: gitlab.Canceled,
}
