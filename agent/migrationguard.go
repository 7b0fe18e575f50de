package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/migrations"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// decideMigrations is the decision that a user makes when migrations prevent a rollback.
const decideMigrations = "review these migrations: would a rollback lose data? If it is safe, run their down migrations by hand " +
	"and then `agent rollback`, or, where the older release works with them, `agent rollback --force-migrations`; if it is not, fix it with a new commit"

// guardMigration refuses a rollback to a good state across migrations that came after it,
// or if that is unknown. A rollback that has begun has passed already. With
// --force-migrations the reason becomes a warning, and is recorded.
func (r *reconcile) guardMigration(ctx context.Context, to *record.GoodState) (err error) {
	if r.sync.Rollback.Wrote || r.sync.Trigger == record.OnDrift { // it restores what ran
		return nil
	}
	if r.migrations, err = r.currentLogin(to); err != nil {
		return err
	}
	refused := r.acrossMigrations(ctx, to)
	if refused == nil || transient(refused) {
		return refused
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !r.sync.Rollback.Force {
		return refused
	}
	noted := record.Migration{}
	if r.sync.Migration != nil {
		noted = *r.sync.Migration
	}
	noted.Forced = true
	r.sync.Migration = &noted
	r.warn(forcedMigrations + refused.Error())
	r.plan.Warnings = append(r.plan.Warnings, forcedMigrations+refused.Error()) // shown to a user who looks at the plan first
	return nil
}

const forcedMigrations = "across migrations, by --force-migrations: "

// noteForced records in the audit log, before the first write, that a user forces a
// rollback across migrations.
func (r *reconcile) noteForced() error {
	if r.attempt.Wrote || r.sync.Migration == nil || !r.sync.Migration.Forced {
		return nil
	}
	entry := r.entry(audit.Rollback, audit.Stack, r.sync.Stack)
	entry.Outcome, entry.Detail = audit.Started, forcedMigrations+"the migrations in between are not known"
	for _, warning := range r.attempt.Warnings {
		if strings.HasPrefix(warning, forcedMigrations) {
			entry.Detail = warning
		}
	}
	if reason := r.sync.Rollback.Reason; reason != "" {
		entry.Detail += "; reason: " + reason
	}
	r.Log.Warn("rolling back across migrations", "revision", short(r.sync.Commit), "stack", r.sync.Stack, "actor", r.sync.Actor.String())
	return r.write(entry)
}

// acrossMigrations says why a rollback to a good state is refused, nil if migrations do
// not prevent it. It records the database's migration.
func (r *reconcile) acrossMigrations(ctx context.Context, to *record.GoodState) error {
	verified, err := r.migrationOf(to)
	switch {
	case err != nil:
		return err
	case r.migrations == nil && verified == nil && r.sync.Migration == nil:
		return nil // the migrations were never read
	case r.migrations == nil:
		return fault.New(fault.Place{}, "check the database's migration; if a rollback is safe, `agent rollback --force-migrations`",
			"it cannot be known whether migrations came after %s: no login for the database is known", releaseOf(to))
	}
	busy, err := migrations.AtWork(ctx, r.Engine, to.StackName, r.showProgress)
	if err != nil {
		return ofEnvironment(err)
	}
	now, missing, err := r.patiently(ctx)
	if err != nil {
		return fault.New(fault.Place{}, "once the database can be read, `agent rollback`; "+fault.Hint(err),
			"it cannot be known whether migrations came after %s: %s", releaseOf(to), err) // no longer a transient failure
	}
	noted := r.migration()
	if noted.After = &now; noted.Before == nil && !r.sync.Rollback.Auto {
		noted.Before = &now // nothing was written
	}
	r.sync.Migration = &noted
	switch {
	case verified == nil:
		return fault.New(fault.Place{}, decideMigrations, "the database is at migration %d; its migration when %s was verified is not recorded", now, releaseOf(to))
	case missing && *verified > 0:
		return fault.New(fault.Place{}, "check what happened to the table and the database; if a rollback is safe, `agent rollback --force-migrations`",
			"it cannot be known whether migrations came after %s: the table %s, which was at migration %d then, is not there", releaseOf(to), r.migrations.Table.Table, *verified)
	case now <= *verified && len(busy) > 0:
		return fault.New(fault.Place{}, "wait until it has ended, and then `agent rollback`",
			"it cannot be known which migrations are still to come: %s has not ended", strings.Join(busy, ", "))
	case now <= *verified:
		return nil
	}
	return fault.New(fault.Place{}, decideMigrations, "the database went from migration %d to %d after %s was verified%s: %s",
		*verified, now, releaseOf(to), r.sinceWhen(now), r.migrations.Between(ctx, *verified, now))
}

// currentLogin gives the newest known login for the database: a password may have changed
// since a good state was recorded. It is the login of the revision that is replaced, or
// else of the newest good state, or else of the goal, as long as all mean the same table.
func (r *reconcile) currentLogin(to *record.GoodState) (*migrations.Check, error) {
	own, left := r.migrations, r.rollback.left
	if left == nil {
		newest, err := r.records.Newest()
		if err != nil {
			return nil, fmt.Errorf("recall good states: %w", err)
		}
		if newest != nil && newest.SyncID != to.SyncID {
			left = r.loginOf(newest)
		}
	}
	if left == nil || own != nil && !own.Same(left) {
		return own, nil
	}
	return left, nil
}

// loginOf gives the migration check of a good state; nil if it cannot be read.
func (r *reconcile) loginOf(good *record.GoodState) *migrations.Check {
	files, err := r.Store.Files(good)
	if err != nil || files == nil {
		return nil
	}
	state, err := desired.Load(files, r.nodeOptions())
	if err != nil || !state.Node.Config.Deployment.MigrationCheck.Enabled || state.Decrypt() != nil {
		return nil
	}
	defer state.Wipe()
	found, err := migrations.Of(state)
	if err != nil {
		return nil
	}
	return found
}

// sinceWhen says that the migrations are not those of the rollout that failed.
func (r *reconcile) sinceWhen(now int64) string {
	if noted := r.sync.Migration; r.sync.Rollback.Auto && noted.Before != nil && *noted.Before == now {
		return " (before this rollout began)"
	}
	return ""
}

// releaseOf names a good state for people.
func releaseOf(to *record.GoodState) string {
	name := to.Release
	if name == "" {
		name = short(to.Commit)
	}
	return fmt.Sprintf("%s (sync #%d)", name, to.SyncID)
}

// migrationOf gives the database's migration when a state was good: as recorded with it,
// or else as read before the first later rollout wrote anything; nil if it is not known.
func (a *Agent) migrationOf(to *record.GoodState) (*int64, error) {
	if to.Migration != nil {
		return to.Migration, nil
	}
	syncs, err := a.records.Syncs(1000)
	if err != nil {
		return nil, fmt.Errorf("read the last syncs: %w", err)
	}
	for _, after := range slices.Backward(syncs) { // the oldest first
		if after.ID > to.SyncID && after.Wrote {
			if after.Migration == nil {
				return nil, nil
			}
			return after.Migration.Before, nil
		}
	}
	return nil, nil
}
