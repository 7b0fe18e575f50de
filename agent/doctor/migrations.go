package doctor

import (
	"context"
	"fmt"

	"coin.internal/coin-agent/agent/migrations"
)

// checkMigrations reads the table that config.yml's migration_check names, as a
// rollout does.
func (d *doctor) checkMigrations(ctx context.Context) (string, error) {
	if d.checkout == nil || d.stack == nil {
		return "", errSkipped("git and the manifests")
	}
	m, err := migrations.Of(d.opened)
	switch {
	case err != nil:
		return "", err
	case m == nil:
		return "migration_check is off in config.yml", nil
	}
	id, missing, err := m.Highest(ctx)
	if err != nil {
		return "", err
	}
	if missing {
		return fmt.Sprintf("%s answers; it has no table %s yet", m.Table.Database, m.Table.Table), nil
	}
	return fmt.Sprintf("%s is at migration %d of %s", m.Table.Database, id, m.Table.Table), nil
}
