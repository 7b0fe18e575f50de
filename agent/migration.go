package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"coin.internal/coin-agent/agent/migrations"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// lookedBack is how many syncs are looked at for one that was good.
const lookedBack = 20

// patiently reads the highest id, and tries again while the database cannot be
// reached, unless what was proven is only put back.
func (r *reconcile) patiently(ctx context.Context) (id int64, missing bool, err error) {
	if r.sync.Trigger == record.OnDrift {
		id, missing, err = r.migrations.Highest(ctx)
	} else {
		id, missing, err = r.migrations.Patiently(ctx, r.show)
	}
	return id, missing, ofEnvironment(err)
}

// ofEnvironment says of a database or an engine that gives no answer that this is not
// the revision's fault.
func ofEnvironment(err error) error {
	if errors.As(err, new(migrations.Unreachable)) {
		return environmentError{err}
	}
	return err
}

// migrationsBefore reads where the database stands before anything is written. A
// release that is older than the database is refused: no rollout takes migrations
// back.
func (r *reconcile) migrationsBefore(ctx context.Context) error {
	if r.migrations == nil {
		return nil
	}
	before, missing, err := r.patiently(ctx)
	if err != nil {
		return r.unread(err)
	}
	m := r.migrations
	if missing {
		r.warn(m.Absent())
	}
	r.sync.Migration = &record.Migration{Table: m.Table.Table, Column: m.Table.Column, Before: &before, Expected: m.Expected}
	r.Log.Info("the database's migrations", "revision", short(r.sync.Commit), "stack", r.stack.Name, "before", before)
	if m.Expected == nil || before <= *m.Expected {
		return nil
	}
	good, err := r.goodBefore()
	if err != nil {
		return err
	}
	if good {
		r.warn(m.Beyond(before))
		return nil
	}
	return fault.New(fault.Place{}, fmt.Sprintf("nothing was touched. Take a newer release; or look at what came after %d and either set %s=%d, where this release works with it, or take it back by hand",
		*m.Expected, m.Variable, before), "%s", m.Beyond(before))
}

// goodBefore tells whether this revision was good here before this sync, with nothing
// else since: others may have taken the database on.
func (r *reconcile) goodBefore() (bool, error) {
	syncs, err := r.records.Syncs(lookedBack)
	if err != nil {
		return false, fmt.Errorf("read the last syncs: %w", err)
	}
	for _, before := range syncs {
		switch {
		case before.ID >= r.sync.ID:
		case before.Commit != r.sync.Commit || before.State == record.RolledBack:
			return false, nil
		case before.State == record.Succeeded:
			return true, nil
		}
	}
	return false, nil
}

// unread decides what a database means that gives no answer. What only puts back
// what was proven before does without.
func (r *reconcile) unread(err error) error {
	if r.sync.Trigger != record.OnDrift {
		return err
	}
	r.warn(err.Error())
	return nil
}

// warn notes a warning once.
func (r *reconcile) warn(text string) {
	if !slices.Contains(r.attempt.Warnings, text) {
		r.attempt.Warnings = append(r.attempt.Warnings, text)
	}
}

// checkMigrations reads where the database stands now that the services are well,
// and compares it with what the release expects.
func (r *reconcile) checkMigrations(ctx context.Context) error {
	if r.migrations == nil {
		return nil
	}
	if due, err := r.due(); err != nil || !due {
		return err
	}
	after, missing, err := r.patiently(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return r.unread(err)
	}
	m := r.migrations
	noted := r.migration()
	if noted.After = &after; noted.Before == nil && !r.attempt.Wrote {
		noted.Before = &after // nothing was written
	}
	r.sync.Migration = &noted
	if missing {
		r.warn(m.Absent())
	}
	r.Log.Info("the database's migrations", "revision", short(r.sync.Commit), "stack", r.stack.Name, "after", after)
	if m.Expected == nil || after == *m.Expected {
		return nil
	}
	good, err := r.goodBefore()
	if err != nil {
		return err
	}
	if good && after > *m.Expected {
		r.warn(m.Beyond(after))
		return nil
	}
	return fault.New(fault.Place{}, fmt.Sprintf("see what became of the release's migrations (the log of its migrate service); or correct %s", m.Variable),
		"the database is at migration %d, the release expects %d", after, *m.Expected)
}

// migration is a copy of what is on record of this sync: others read the record
// while it goes on.
func (r *reconcile) migration() record.Migration {
	if r.sync.Migration != nil {
		return *r.sync.Migration
	}
	return record.Migration{Table: r.migrations.Table.Table, Column: r.migrations.Table.Column, Expected: r.migrations.Expected}
}

// noteMigrations notes, where it can be had, where the database stands after a
// rollout that has failed.
func (r *reconcile) noteMigrations(ctx context.Context) {
	if r.migrations == nil || !r.attempt.Wrote || r.sync.Migration != nil && r.sync.Migration.After != nil {
		return
	}
	after, _, err := r.migrations.Highest(ctx)
	if err != nil {
		r.Log.Debug("cannot read the migrations", "revision", short(r.sync.Commit), "error", err.Error())
		return
	}
	noted := r.migration()
	noted.After = &after
	r.sync.Migration = &noted
}

// provenMigration is where the database stood when this sync was proven: as read,
// or, where nothing had to be asked, as it was proven before.
func (r *reconcile) provenMigration() *int64 {
	if r.migrations == nil {
		return nil
	}
	if noted := r.sync.Migration; noted != nil && noted.After != nil {
		return noted.After
	}
	if applied := r.snapshot().applied; applied != nil {
		return applied.Migration
	}
	return nil
}
