package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// listedMigrations is how many migrations a refusal names.
const listedMigrations = 20

// decideMigrations is what a person has to decide where migrations stand in the
// way of going back.
const decideMigrations = "a person decides: review these migrations; would going back lose data? If it is safe, run their down migrations by hand " +
	"and then `agent rollback`, or, where the older release works with them, `agent rollback --force-migrations`; if it is not, mend it with a new commit"

// guardMigration refuses to go back to a good state across migrations that came
// after it, or where nobody can know whether some did. A rollback that has begun was
// let pass before. With --force-migrations what speaks against it is a warning, and
// on record.
func (r *reconcile) guardMigration(ctx context.Context, to *record.GoodState) (err error) {
	if r.sync.Rollback.Wrote || r.sync.Trigger == record.OnDrift { // what ran is put back
		return nil
	}
	if r.migrations, err = r.currentLogin(to); err != nil {
		return err
	}
	refused := r.acrossMigrations(ctx, to)
	if refused == nil || passing(refused) {
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
	r.plan.Warnings = append(r.plan.Warnings, forcedMigrations+refused.Error()) // for whoever looks at it first
	return nil
}

const forcedMigrations = "across migrations, by --force-migrations: "

// noteForced writes into the audit log, before anything is touched, that a rollback
// goes across migrations by a person's word.
func (r *reconcile) noteForced() error {
	if r.attempt.Wrote || r.sync.Migration == nil || !r.sync.Migration.Forced {
		return nil
	}
	entry := r.entry(audit.Rollback, audit.Stack, r.sync.Stack)
	entry.Outcome, entry.Detail = audit.Started, forcedMigrations+"nobody said what lies between"
	for _, warning := range r.attempt.Warnings {
		if strings.HasPrefix(warning, forcedMigrations) {
			entry.Detail = warning
		}
	}
	if reason := r.sync.Rollback.Reason; reason != "" {
		entry.Detail += "; reason: " + reason
	}
	r.Log.Warn("going back across migrations", "revision", short(r.sync.Commit), "stack", r.sync.Stack, "actor", r.sync.Actor.String())
	return r.write(entry)
}

// acrossMigrations says why nobody should go back to a good state, nil where
// nothing speaks against it. It notes where the database stands.
func (r *reconcile) acrossMigrations(ctx context.Context, to *record.GoodState) error {
	proven, err := r.provenWith(to)
	switch {
	case err != nil:
		return err
	case r.migrations == nil && proven == nil && r.sync.Migration == nil:
		return nil // nobody has ever looked
	case r.migrations == nil:
		return fault.New(fault.Place{}, "see where the database stands; where nothing speaks against it, `agent rollback --force-migrations`",
			"it cannot be known whether migrations came after %s: no login for the database is at hand", releaseOf(to))
	}
	busy, err := r.atWork(ctx, to.StackName)
	if err != nil {
		return err
	}
	now, missing, err := r.patiently(ctx)
	if err != nil {
		return fault.New(fault.Place{}, "once the database can be read, `agent rollback`; "+fault.Hint(err),
			"it cannot be known whether migrations came after %s: %s", releaseOf(to), err) // no error of what surrounds the agent any more
	}
	noted := r.migration()
	if noted.After = &now; noted.Before == nil && !r.sync.Rollback.Auto {
		noted.Before = &now // nothing was written
	}
	r.sync.Migration = &noted
	switch {
	case proven == nil:
		return fault.New(fault.Place{}, decideMigrations, "the database is at migration %d; where it was when %s was proven is not on record", now, releaseOf(to))
	case missing && *proven > 0:
		return fault.New(fault.Place{}, "see what became of the table, and what else was done to the database; where nothing speaks against it, `agent rollback --force-migrations`",
			"it cannot be known whether migrations came after %s: the table %s, which was at migration %d then, is not there", releaseOf(to), r.migrations.Table, *proven)
	case now <= *proven && len(busy) > 0:
		return fault.New(fault.Place{}, "wait until it has ended, and then `agent rollback`",
			"it cannot be known which migrations are still to come: %s has not ended", strings.Join(busy, ", "))
	case now <= *proven:
		return nil
	}
	return fault.New(fault.Place{}, decideMigrations, "the database went from migration %d to %d after %s was proven%s: %s",
		*proven, now, releaseOf(to), r.sinceWhen(now), r.between(ctx, *proven, now))
}

// atWork lists the jobs that have not ended, after some time to do so: one of them
// may be about to migrate the database.
func (r *reconcile) atWork(ctx context.Context, stack string) ([]string, error) {
	for attempt := 1; ; attempt++ {
		busy, err := r.Engine.RunningJobs(ctx, stack)
		if err != nil {
			return nil, environmentError{err}
		}
		if len(busy) == 0 || attempt == migrationAttempts {
			return busy, nil
		}
		r.show("waiting for " + strings.Join(busy, ", ") + " to end, before the database is asked for its migrations")
		if err := pause(ctx, migrationInterval); err != nil {
			return nil, err
		}
	}
}

// currentLogin is the newest way into the database that is known: a password may
// have changed since a good state was recorded. That is the way of the revision
// that is left, else of the newest good state, else of the one to go back to, as
// long as all mean the same table.
func (r *reconcile) currentLogin(to *record.GoodState) (*migrations, error) {
	own, left := r.migrations, r.back.left
	if left == nil {
		newest, err := r.records.Newest()
		if err != nil {
			return nil, fmt.Errorf("recall good states: %w", err)
		}
		if newest != nil && newest.SyncID != to.SyncID {
			left = r.loginOf(newest)
		}
	}
	if left == nil || own != nil && !own.same(left) {
		return own, nil
	}
	return left, nil
}

// loginOf is how a good state asks the database; nil where that cannot be had.
func (r *reconcile) loginOf(good *record.GoodState) *migrations {
	files, err := r.Store.Files(good)
	if err != nil || files == nil {
		return nil
	}
	node, err := manifests.Load(files, r.Settings.Environment, r.Settings.Node)
	if err != nil || !node.Config.Deployment.MigrationCheck.Enabled {
		return nil
	}
	keys, err := r.Keys()
	if err != nil {
		return nil
	}
	set, err := OpenSecrets(node, keys)
	if err != nil {
		return nil
	}
	defer set.Wipe()
	found, err := migrationsOf(node, set, r.Settings.CheckDir)
	if err != nil {
		return nil
	}
	return found
}

// same tells whether both mean the same table of the same database.
func (m *migrations) same(other *migrations) bool {
	return m.Table == other.Table && m.Column == other.Column && m.Host == other.Host && m.Port == other.Port && m.Name == other.Name
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

// between lists the migrations above one id up to another.
func (r *reconcile) between(ctx context.Context, above, upTo int64) string {
	limited, cancel := context.WithTimeout(ctx, migrationTimeout)
	defer cancel()
	list, all, err := r.migrations.Between(limited, above, upTo, listedMigrations)
	if err != nil {
		return "which they are cannot be read now"
	}
	names := make([]string, 0, len(list)+1)
	for _, one := range list {
		names = append(names, one.String())
	}
	if all > len(list) {
		names = append(names, fmt.Sprintf("and %d more", all-len(list)))
	}
	return strings.Join(names, ", ")
}

// provenWith is where the database stood when a state was good: as recorded with
// it, or else before the first rollout after it touched anything; nil where that
// is not known.
func (a *Agent) provenWith(to *record.GoodState) (*int64, error) {
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
