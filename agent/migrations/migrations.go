// Package migrations reads a database's migrations: it takes a node's migration_check
// with its login, and gives the highest ID and the migrations between two IDs. It only
// reads, each read within ten seconds.
package migrations

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// The limits of the reads.
const (
	readLimit = 10 * time.Second // one read
	interval  = 5 * time.Second  // between two
	attempts  = 4
)

// listed is how many migrations Between names.
const listed = 20

// Check is config.yml's migration check of a node, ready to be asked.
type Check struct {
	Table    checks.Migrations
	Expected *int64 // by the release; nil if it names none
	Variable string // the variable that names it
	place    fault.Place
}

// Of makes the migration check of a node ready; it gives nil if the check is off. Its
// login is a copy, which outlives the node's secrets.
func Of(state *desired.State) (*Check, error) {
	node := state.Node
	check := node.Config.Deployment.MigrationCheck
	if !check.Enabled {
		return nil, nil
	}
	place := node.Config.Place("deployment.migration_check")
	sql, err := state.SQL(check.SQL())
	if err != nil {
		return nil, fault.New(place, fault.Hint(err), "migration_check: %w", err)
	}
	if sql.Database.Password != nil {
		sql.Database.Password = secrets.NewValue(bytes.Clone(sql.Database.Password.Reveal()))
	}
	sql.Database.TLS.CA = bytes.Clone(sql.Database.TLS.CA)
	return &Check{
		Table:    checks.Migrations{Database: sql.Database, Table: check.Table, Column: check.Column},
		Expected: node.ExpectedMigration, Variable: check.ExpectedVariable, place: place,
	}, nil
}

// Highest reads the highest ID once. It gives 0 for a table that does not exist yet, and
// missing says so. An error of the database's server, not of config.yml, is transient.
func (c *Check) Highest(ctx context.Context) (id int64, missing bool, err error) {
	limited, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	id, err = c.Table.Highest(limited)
	switch {
	case errors.Is(err, checks.ErrNoTable):
		return 0, true, nil
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		return 0, false, fault.Transient(c.fault(fmt.Errorf("got no answer within %s", readLimit)))
	case err != nil && unreachable(err):
		return 0, false, fault.Transient(c.fault(err))
	case err != nil:
		return 0, false, c.fault(err)
	}
	return id, false, nil
}

// fault says that the migrations cannot be read, and what to do.
func (c *Check) fault(err error) error {
	return fault.New(fault.Place{}, "see that the database is up and that this node may log in to it; the check is at "+c.place.String(),
		"read the migrations of %s: %w", c.Table.Database, err)
}

// unreachable reports whether the server caused the error, not config.yml: it is absent,
// starting or stopping, out of room, or its table is locked.
func unreachable(err error) bool {
	said, ok := errors.AsType[*checks.DatabaseError](err)
	if !ok || said.State == "" {
		return ok
	}
	return slices.Contains([]string{"08", "53", "55", "57", "58"}, said.State[:min(2, len(said.State))])
}

// Patiently reads the highest ID, and tries again while the database cannot be reached.
// progress gets the reason.
func (c *Check) Patiently(ctx context.Context, progress func(string)) (id int64, missing bool, err error) {
	for attempt := 1; ; attempt++ {
		id, missing, err = c.Highest(ctx)
		if !fault.IsTransient(err) || attempt == attempts {
			return id, missing, err
		}
		progress(fmt.Sprintf("attempt %d of %d: %s", attempt, attempts, err))
		if err := pause(ctx, interval); err != nil {
			return 0, false, err
		}
	}
}

// Between lists the migrations above one ID up to another.
func (c *Check) Between(ctx context.Context, above, upTo int64) string {
	limited, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	names, all, err := c.Table.Between(limited, above, upTo, listed)
	if err != nil {
		return "which they are cannot be read now"
	}
	if all > len(names) {
		names = append(names, fmt.Sprintf("and %d more", all-len(names)))
	}
	return strings.Join(names, ", ")
}

// Beyond says that the database is at a later migration than this release.
func (c *Check) Beyond(id int64) string {
	return fmt.Sprintf("the database is at migration %d already, the release expects %d", id, *c.Expected)
}

// Absent says that the table does not exist yet.
func (c *Check) Absent() string {
	return fmt.Sprintf("the database has no table %s yet: that counts as migration 0", c.Table.Table)
}

// Same reports whether both mean the same table of the same database.
func (c *Check) Same(other *Check) bool {
	one, two := c.Table, other.Table
	return one.Table == two.Table && one.Column == two.Column && one.Database.Host == two.Database.Host &&
		one.Database.Port == two.Database.Port && one.Database.Name == two.Database.Name
}
