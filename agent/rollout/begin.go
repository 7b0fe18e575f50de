package rollout

import (
	"maps"
	"time"

	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/record"
	gitsync "coin.internal/coin-agent/sync"
)

// NewSync makes the sync of a revision.
func NewSync(revision gitsync.Revision, trigger record.Trigger, event record.Event, now time.Time) (*record.Sync, error) {
	sync := &record.Sync{
		Commit: revision.Commit, Ref: revision.Ref, Author: revision.Author, Subject: revision.Subject, Committed: revision.Time,
		Trigger: trigger, Seconds: map[record.Stage]float64{},
	}
	return sync, sync.Apply(event, now)
}

// begin makes the sync, which the first stage records before anything is done. A sync that was
// interrupted, or that failed with a transient failure, continues under its number. A sync of an
// older revision is superseded.
func (f *forward) begin(cause Cause) error {
	a, revision, last := f.a, f.checkout.Revision, f.a.base.Last
	if last.CarriesOn() && last.Commit == revision.Commit {
		return f.carryOn(cause)
	}
	if err := a.leaveLast(revision.Commit); err != nil {
		return err
	}
	f.known = last != nil && last.Commit == revision.Commit && last.State == record.Succeeded && last.Degraded == ""
	var err error
	if a.sync, err = NewSync(revision, cause.Trigger, record.Begin, time.Now()); err != nil {
		return err
	}
	a.note = a.sync.Attempt()
	a.sync.Actor, a.sync.Override, a.sync.Chosen = cause.who(revision), cause.Override, cause.chosen(last, revision)
	a.sync.Corrects, a.sync.Leaves = cause.Correction.Fields, cause.Correction.Leaves
	a.sync.Group, a.sync.DirtySince = last.NextGroup(revision.Commit), last.Dirty()
	a.use.Log.Info("syncing", "revision", record.Short(revision.Commit), "ref", revision.Ref, "trigger", cause.Trigger)
	return nil
}

// carryOn continues the last sync under its number.
func (f *forward) carryOn(cause Cause) error {
	a, last := f.a, f.a.base.Last
	continued := *last
	f.waited, a.sync = last.Waiting, &continued
	if cause.Trigger == record.OnRequest {
		a.sync.Trigger, a.sync.Actor = cause.Trigger, cause.Actor
		a.sync.Corrects, a.sync.Leaves = nil, nil // the whole stack is rolled out
	}
	if cause.Override != nil {
		a.sync.Override = cause.Override
	}
	a.sync.Chosen = cause.chosen(last, f.checkout.Revision)
	a.sync.Seconds, a.sync.Entered = map[record.Stage]float64{}, maps.Clone(last.Entered)
	a.note = a.sync.Attempt()
	if err := a.sync.Apply(record.CarryOn, time.Now()); err != nil {
		return err
	}
	if last.State != record.Waiting {
		a.use.Log.Info("continuing", "revision", record.Short(continued.Commit), "sync", continued.ID, "stage", continued.Stage)
	}
	return nil
}

// leaveLast ends a last sync that is not over, because a commit takes its place. A sync that
// a rollback superseded, and the agent was killed before that rollback was recorded, is
// reported now: the rollback would have reported its end.
func (a *attempt) leaveLast(commit string) error {
	last := a.base.Last
	if last != nil && last.State == record.Superseded && last.Commit != commit {
		return a.use.Publish.Sync(last) // the outbox skips what was reported
	}
	if !last.CarriesOn() {
		return nil
	}
	replaced, err := a.supersede("superseded by " + record.Short(commit))
	if err != nil {
		return err
	}
	return a.use.end(replaced)
}

// supersede ends the last sync, which another one replaces before it has finished.
func (a *attempt) supersede(summary string) (*record.Sync, error) {
	replaced := a.base.Last.Copy()
	if err := replaced.Apply(record.Supersede, time.Now()); err != nil {
		return nil, err
	}
	replaced.Summary = summary
	if !replaced.Wrote {
		return replaced, nil
	}
	entry := journal.Superseded(replaced)
	entry.Stack = a.use.Stack
	return replaced, a.use.Audit.Append(entry)
}
