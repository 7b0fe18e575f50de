package rollout

import (
	"context"
	"fmt"

	"coin.internal/coin-agent/agent/migrations"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// lookedBack is how many syncs are looked at for one that was good.
const lookedBack = 20

// database is the database whose migrations an attempt looks at.
type database struct {
	a     *attempt
	check *migrations.Check // nil where config.yml checks none
	left  *migrations.Check // of the revision that a rollback replaces; nil if it is not known
}

// patiently reads the highest migration ID. It tries again while the database cannot be
// reached, unless the sync only returns to a verified state.
func (d *database) patiently(ctx context.Context) (id int64, missing bool, err error) {
	if d.a.sync.Trigger == record.OnDrift {
		return d.check.Highest(ctx)
	}
	return d.check.Patiently(ctx, d.a.show)
}

// before reads the database's migration before the first write. It refuses a release that
// is older than the database, because a rollout never reverts migrations.
func (d *database) before(ctx context.Context) error {
	if d.check == nil {
		return nil
	}
	a, m := d.a, d.check
	before, missing, err := d.patiently(ctx)
	if err != nil {
		return d.unread(err)
	}
	if missing {
		a.warn(m.Absent())
	}
	a.sync.Migration = &record.Migration{Table: m.Table.Table, Column: m.Table.Column, Before: &before, Expected: m.Expected}
	a.use.Log.Info("the database's migrations", "revision", record.Short(a.sync.Commit), "stack", a.stack.Name, "before", before)
	if m.Expected == nil || before <= *m.Expected {
		return nil
	}
	good, err := d.goodBefore()
	if err != nil {
		return err
	}
	if good {
		a.warn(m.Beyond(before))
		return nil
	}
	return fault.New(fault.Place{}, fmt.Sprintf("nothing was touched. Take a newer release; or check the migrations after %d, and either set %s=%d, if this release works with them, or revert them by hand",
		*m.Expected, m.Variable, before), "%s", m.Beyond(before))
}

// goodBefore reports whether this revision was good here before this sync, with no other
// revision since: another one may have migrated the database.
func (d *database) goodBefore() (bool, error) {
	a := d.a
	syncs, err := a.use.Records.Syncs(lookedBack)
	if err != nil {
		return false, fmt.Errorf("read the last syncs: %w", err)
	}
	for _, before := range syncs {
		switch {
		case before.ID >= a.sync.ID:
		case before.Commit != a.sync.Commit || before.State == record.RolledBack:
			return false, nil
		case before.State == record.Succeeded:
			return true, nil
		}
	}
	return false, nil
}

// unread decides what happens if the database does not answer. A sync that only returns
// to a verified state continues without it.
func (d *database) unread(err error) error {
	if d.a.sync.Trigger != record.OnDrift {
		return err
	}
	d.a.warn(err.Error())
	return nil
}

// after reads the database's migration after the services have become healthy,
// and compares it with what the release expects.
func (d *database) after(ctx context.Context) error {
	if d.check == nil {
		return nil
	}
	a, m := d.a, d.check
	after, missing, err := d.patiently(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return d.unread(err)
	}
	noted := d.noted()
	if noted.After = &after; noted.Before == nil && !a.note.Wrote {
		noted.Before = &after // nothing was written
	}
	a.sync.Migration = &noted
	if missing {
		a.warn(m.Absent())
	}
	a.use.Log.Info("the database's migrations", "revision", record.Short(a.sync.Commit), "stack", a.stack.Name, "after", after)
	if m.Expected == nil || after == *m.Expected {
		return nil
	}
	good, err := d.goodBefore()
	if err != nil {
		return err
	}
	if good && after > *m.Expected {
		a.warn(m.Beyond(after))
		return nil
	}
	return fault.New(fault.Place{}, fmt.Sprintf("check the release's migrations in the log of its migrate service; or correct %s", m.Variable),
		"the database is at migration %d, the release expects %d", after, *m.Expected)
}

// noted gives a copy of the sync's migration record: others read the record while the sync
// runs.
func (d *database) noted() record.Migration {
	if noted := d.a.sync.Migration; noted != nil {
		return *noted
	}
	return record.Migration{Table: d.check.Table.Table, Column: d.check.Table.Column, Expected: d.check.Expected}
}

// failed records the database's migration after a failed rollout, if it can be read.
func (d *database) failed(ctx context.Context) {
	a := d.a
	if d.check == nil || !a.note.Wrote || a.sync.Migration != nil && a.sync.Migration.After != nil {
		return
	}
	after, _, err := d.check.Highest(ctx)
	if err != nil {
		a.use.Log.Debug("cannot read the migrations", "revision", record.Short(a.sync.Commit), "error", err)
		return
	}
	noted := d.noted()
	noted.After = &after
	a.sync.Migration = &noted
}

// verified gives the migration at which this sync was verified: as read, or, if nothing was
// asked, as recorded before.
func (d *database) verified() *int64 {
	if d.check == nil {
		return nil
	}
	if noted := d.a.sync.Migration; noted != nil && noted.After != nil {
		return noted.After
	}
	if applied := d.a.base.Deployed; applied != nil {
		return applied.Migration
	}
	return nil
}
