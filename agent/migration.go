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

// patiently reads the highest migration ID. It tries again while the database cannot be
// reached, unless the sync only returns to a verified state.
func (r *reconcile) patiently(ctx context.Context) (id int64, missing bool, err error) {
	if r.sync.Trigger == record.OnDrift {
		id, missing, err = r.migrations.Highest(ctx)
	} else {
		id, missing, err = r.migrations.Patiently(ctx, r.showProgress)
	}
	return id, missing, ofEnvironment(err)
}

// ofEnvironment marks an error as transient if the database or the engine does not
// answer.
func ofEnvironment(err error) error {
	if errors.As(err, new(migrations.Unreachable)) {
		return environmentError{err}
	}
	return err
}

// migrationsBefore reads the database's migration before the first write. It refuses a
// release that is older than the database, because a rollout never reverts migrations.
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
	return fault.New(fault.Place{}, fmt.Sprintf("nothing was touched. Take a newer release; or check the migrations after %d, and either set %s=%d, if this release works with them, or revert them by hand",
		*m.Expected, m.Variable, before), "%s", m.Beyond(before))
}

// goodBefore reports whether this revision was good here before this sync, with no other
// revision since: another one may have migrated the database.
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

// unread decides what happens if the database does not answer. A sync that only returns
// to a verified state continues without it.
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

// checkMigrations reads the database's migration after the services have become healthy,
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
	return fault.New(fault.Place{}, fmt.Sprintf("check the release's migrations in the log of its migrate service; or correct %s", m.Variable),
		"the database is at migration %d, the release expects %d", after, *m.Expected)
}

// migration gives a copy of the sync's migration record: others read the record while the
// sync runs.
func (r *reconcile) migration() record.Migration {
	if r.sync.Migration != nil {
		return *r.sync.Migration
	}
	return record.Migration{Table: r.migrations.Table.Table, Column: r.migrations.Table.Column, Expected: r.migrations.Expected}
}

// noteMigrations records the database's migration after a failed rollout, if it can be
// read.
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

// verifiedMigration gives the migration at which this sync was verified: as read, or, if
// nothing was asked, as recorded before.
func (r *reconcile) verifiedMigration() *int64 {
	if r.migrations == nil {
		return nil
	}
	if noted := r.sync.Migration; noted != nil && noted.After != nil {
		return noted.After
	}
	if applied := r.snapshot().deployed; applied != nil {
		return applied.Migration
	}
	return nil
}
