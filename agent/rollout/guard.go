package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/migrations"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// decideMigrations is the decision that a user makes when migrations prevent a rollback.
const decideMigrations = "review these migrations: would a rollback lose data? If it is safe, run their down migrations by hand " +
	"and then `agent rollback`, or, where the older release works with them, `agent rollback --force-migrations`; if it is not, fix it with a new commit"

// guard refuses a rollback to a good state across migrations that came after it,
// or if that is unknown. A rollback that has begun has passed already. With
// --force-migrations the reason becomes a warning, and is recorded.
func (d *database) guard(ctx context.Context, to *record.GoodState) (err error) {
	a := d.a
	if a.sync.Rollback.Wrote || a.sync.Trigger == record.OnDrift { // it restores what ran
		return nil
	}
	if d.check, err = d.currentLogin(ctx, to); err != nil {
		return err
	}
	refused := d.across(ctx, to)
	if refused == nil || Transient(refused) {
		return refused
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !a.sync.Rollback.Force {
		return refused
	}
	noted := record.Migration{}
	if a.sync.Migration != nil {
		noted = *a.sync.Migration
	}
	noted.Forced = true
	a.sync.Migration = &noted
	a.warn(forcedMigrations + refused.Error())
	if !slices.Contains(a.plan.Warnings, forcedMigrations+refused.Error()) {
		a.plan.Warnings = append(a.plan.Warnings, forcedMigrations+refused.Error()) // shown to a user who looks at the plan first
	}
	return nil
}

const forcedMigrations = "across migrations, by --force-migrations: "

// noteForced records in the audit log, before the first write, that a user forces a
// rollback across migrations.
func (d *database) noteForced() error {
	a := d.a
	if a.note.Wrote || a.sync.Migration == nil || !a.sync.Migration.Forced {
		return nil
	}
	detail := forcedMigrations + "the migrations in between are not known"
	for _, warning := range a.note.Warnings {
		if strings.HasPrefix(warning, forcedMigrations) {
			detail = warning
		}
	}
	if reason := a.sync.Rollback.Reason; reason != "" {
		detail += "; reason: " + reason
	}
	a.use.Log.Warn("rolling back across migrations", "revision", record.Short(a.sync.Commit), "stack", a.sync.Stack, "actor", a.sync.Actor.String())
	return a.journal.Note(audit.Started, detail, "")
}

// across says why a rollback to a good state is refused, nil if migrations do
// not prevent it. It records the database's migration.
func (d *database) across(ctx context.Context, to *record.GoodState) error {
	a := d.a
	verified, err := d.migrationOf(to)
	switch {
	case err != nil:
		return err
	case d.check == nil && verified == nil && a.sync.Migration == nil:
		return nil // the migrations were never read
	case d.check == nil:
		return fault.New(fault.Place{}, "check the database's migration; if a rollback is safe, `agent rollback --force-migrations`",
			"it cannot be known whether migrations came after %s: no login for the database is known", releaseOf(to))
	}
	jobs, err := migrations.AtWork(ctx, a.use.Engine, to.StackName, a.show)
	if err != nil {
		return err
	}
	now, missing, err := d.patiently(ctx)
	if err != nil {
		return fault.New(fault.Place{}, "once the database can be read, `agent rollback`; "+fault.Hint(err),
			"it cannot be known whether migrations came after %s: %s", releaseOf(to), err) // no longer a transient failure
	}
	noted := d.noted()
	if noted.After = &now; noted.Before == nil && !a.sync.Rollback.Auto {
		noted.Before = &now // nothing was written
	}
	a.sync.Migration = &noted
	switch {
	case verified == nil:
		return fault.New(fault.Place{}, decideMigrations, "the database is at migration %d; its migration when %s was verified is not recorded", now, releaseOf(to))
	case missing && *verified > 0:
		return fault.New(fault.Place{}, "check what happened to the table and the database; if a rollback is safe, `agent rollback --force-migrations`",
			"it cannot be known whether migrations came after %s: the table %s, which was at migration %d then, is not there", releaseOf(to), d.check.Table.Table, *verified)
	case now <= *verified:
		return unended(jobs)
	}
	return fault.New(fault.Place{}, decideMigrations, "the database went from migration %d to %d after %s was verified%s: %s",
		*verified, now, releaseOf(to), d.sinceWhen(now), d.check.Between(ctx, *verified, now))
}

// unended refuses a rollback while a job may migrate the database. Those that the rollback
// stops do not count.
func unended(jobs deploy.Jobs) error {
	const unknown = "it cannot be known which migrations are still to come: %s"
	switch {
	case len(jobs.Running) > 0:
		return fault.New(fault.Place{}, "wait until it has ended, and then `agent rollback`", unknown+" has not ended", strings.Join(jobs.Running, ", "))
	case len(jobs.Lasting) > 0:
		return fault.New(fault.Place{}, "wait until it has ended, or remove it: `docker service rm "+strings.Join(jobs.Lasting, " ")+"`; and then `agent rollback`",
			unknown+" has not succeeded, and Swarm will start it again", strings.Join(jobs.Lasting, ", "))
	}
	return nil
}

// currentLogin gives the newest known login for the database: a password may have changed
// since a good state was recorded. It is the login of the revision that is replaced, or
// else of the newest good state, or else of the goal, as long as all mean the same table.
func (d *database) currentLogin(ctx context.Context, to *record.GoodState) (*migrations.Check, error) {
	own, left := d.check, d.left
	if left == nil {
		newest, err := d.a.use.Records.Newest()
		if err != nil {
			return nil, fmt.Errorf("recall good states: %w", err)
		}
		if newest != nil && newest.SyncID != to.SyncID {
			left = d.loginOf(ctx, newest)
		}
	}
	if left == nil || own != nil && !own.Same(left) {
		return own, nil
	}
	return left, nil
}

// loginOf gives the migration check of a good state; nil if it cannot be read.
func (d *database) loginOf(ctx context.Context, good *record.GoodState) *migrations.Check {
	files, err := d.a.use.Files.Files(good)
	if err != nil || files == nil {
		return nil
	}
	options := d.a.use.recorded()
	options.Vault.Settled = good.Vault
	state, err := desired.Load(ctx, files, options)
	if err != nil || !state.Node.Config.Deployment.MigrationCheck.Enabled || state.Decrypt(ctx) != nil {
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
func (d *database) sinceWhen(now int64) string {
	if noted := d.a.sync.Migration; d.a.sync.Rollback.Auto && noted.Before != nil && *noted.Before == now {
		return " (before this rollout began)"
	}
	return ""
}

// releaseOf names a good state for users.
func releaseOf(to *record.GoodState) string {
	name := to.Release
	if name == "" {
		name = record.Short(to.Commit)
	}
	return fmt.Sprintf("%s (sync #%d)", name, to.SyncID)
}

// migrationOf gives the database's migration when a state was good: as recorded with it,
// or else as read before the first later rollout wrote anything; nil if it is not known.
func (d *database) migrationOf(to *record.GoodState) (*int64, error) {
	if to.Migration != nil {
		return to.Migration, nil
	}
	syncs, err := d.a.use.Records.Syncs(1000)
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
