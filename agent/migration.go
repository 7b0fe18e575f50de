package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// How long the database is asked for its migrations.
const (
	migrationTimeout  = 10 * time.Second // one read
	migrationInterval = 5 * time.Second  // between two
	migrationAttempts = 4
)

// lookedBack is how many syncs are looked at for one that was good.
const lookedBack = 20

// migrations is config.yml's migration check of this node, ready to be asked.
type migrations struct {
	checks.Migrations
	expected *int64 // by the release; nil where it names none
	variable string // that it is named in
	place    fault.Place
}

// migrationsOf makes the migration check of a node ready; nil where it is off. Its
// login is a copy, which outlives the set of secrets.
func migrationsOf(node *manifests.Node, set *secrets.Set, checkDir string) (*migrations, error) {
	check := node.Config.Deployment.MigrationCheck
	if !check.Enabled {
		return nil, nil
	}
	place := node.Config.Place("deployment.migration_check")
	from := &checkSources{node: node, secrets: set, dir: checkDir}
	sql, err := from.sql(check.SQL())
	if err != nil {
		return nil, fault.New(place, fault.Hint(err), "migration_check: %w", err)
	}
	if sql.Password != nil {
		sql.Password = secrets.NewValue(bytes.Clone(sql.Password.Reveal()))
	}
	sql.TLS.CA = bytes.Clone(sql.TLS.CA)
	return &migrations{
		Migrations: checks.Migrations{Database: sql.Database, Table: check.Table, Column: check.Column},
		expected:   node.ExpectedMigration, variable: check.ExpectedVariable, place: place,
	}, nil
}

// highest reads the highest id once. A table that is not there yet is at 0, and
// missing says so.
func (m *migrations) highest(ctx context.Context) (id int64, missing bool, err error) {
	limited, cancel := context.WithTimeout(ctx, migrationTimeout)
	defer cancel()
	id, err = m.Highest(limited)
	switch {
	case errors.Is(err, checks.ErrNoTable):
		return 0, true, nil
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		return 0, false, environmentError{m.fault(fmt.Errorf("got no answer within %s", migrationTimeout))}
	case err != nil && unreachable(err):
		return 0, false, environmentError{m.fault(err)}
	case err != nil:
		return 0, false, m.fault(err)
	}
	return id, false, nil
}

// fault says that the migrations cannot be read, and what to do.
func (m *migrations) fault(err error) error {
	return fault.New(fault.Place{}, "see that the database is up and that this node may log in to it; what is asked stands at "+m.place.String(),
		"read the migrations of %s: %w", m.Database, err)
}

// unreachable says that it is not what config.yml says that is wrong: the server
// is not there, is starting or ending, has no room, or its table is locked.
func unreachable(err error) bool {
	var said *checks.DatabaseError
	if !errors.As(err, &said) {
		return false
	}
	for _, class := range []string{"08", "53", "55", "57", "58"} {
		if strings.HasPrefix(said.State, class) {
			return true
		}
	}
	return said.State == ""
}

// patiently reads the highest id, and tries again while the database cannot be
// reached, unless what was proven is only put back.
func (r *reconcile) patiently(ctx context.Context) (id int64, missing bool, err error) {
	for attempt := 1; ; attempt++ {
		id, missing, err = r.migrations.highest(ctx)
		var outside environmentError
		if !errors.As(err, &outside) || attempt == migrationAttempts || r.sync.Trigger == record.OnDrift {
			return id, missing, err
		}
		r.show(fmt.Sprintf("attempt %d of %d: %s", attempt, migrationAttempts, err))
		if err := pause(ctx, migrationInterval); err != nil {
			return 0, false, err
		}
	}
}

// pause waits, and says why where ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-wait.C:
		return nil
	}
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
		r.warn(m.absent())
	}
	r.sync.Migration = &record.Migration{Table: m.Table, Column: m.Column, Before: &before, Expected: m.expected}
	r.Log.Info("the database's migrations", "revision", short(r.sync.Commit), "stack", r.stack.Name, "before", before)
	if m.expected == nil || before <= *m.expected {
		return nil
	}
	good, err := r.goodBefore()
	if err != nil {
		return err
	}
	if good {
		r.warn(m.beyond(before))
		return nil
	}
	return fault.New(fault.Place{}, fmt.Sprintf("nothing was touched. Take a newer release; or look at what came after %d and either set %s=%d, where this release works with it, or take it back by hand",
		*m.expected, m.variable, before), "%s", m.beyond(before))
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

// beyond says that the database has gone on without this release.
func (m *migrations) beyond(id int64) string {
	return fmt.Sprintf("the database is at migration %d already, the release expects %d", id, *m.expected)
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

func (m *migrations) absent() string {
	return fmt.Sprintf("the database has no table %s yet: that counts as migration 0", m.Table)
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
		r.warn(m.absent())
	}
	r.Log.Info("the database's migrations", "revision", short(r.sync.Commit), "stack", r.stack.Name, "after", after)
	if m.expected == nil || after == *m.expected {
		return nil
	}
	good, err := r.goodBefore()
	if err != nil {
		return err
	}
	if good && after > *m.expected {
		r.warn(m.beyond(after))
		return nil
	}
	return fault.New(fault.Place{}, fmt.Sprintf("see what became of the release's migrations (the log of its migrate service); or correct %s", m.variable),
		"the database is at migration %d, the release expects %d", after, *m.expected)
}

// migration is a copy of what is on record of this sync: others read the record
// while it goes on.
func (r *reconcile) migration() record.Migration {
	if r.sync.Migration != nil {
		return *r.sync.Migration
	}
	return record.Migration{Table: r.migrations.Table, Column: r.migrations.Column, Expected: r.migrations.expected}
}

// noteMigrations notes, where it can be had, where the database stands after a
// rollout that has failed.
func (r *reconcile) noteMigrations(ctx context.Context) {
	if r.migrations == nil || !r.attempt.Wrote || r.sync.Migration != nil && r.sync.Migration.After != nil {
		return
	}
	after, _, err := r.migrations.highest(ctx)
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
