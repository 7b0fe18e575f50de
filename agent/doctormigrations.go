package agent

import (
	"context"
	"fmt"

	"coin.internal/coin-agent/manifests"
)

// checkMigrations reads the table that config.yml's migration_check names, as a
// rollout does.
func (d *doctor) checkMigrations(ctx context.Context) (string, error) {
	if d.checkout == nil || d.stack == nil {
		return "", errSkipped("git and the manifests")
	}
	node, err := manifests.Load(d.checkout.FS, d.on.Settings.Environment, d.on.Settings.Node)
	if err != nil {
		return "", err
	}
	keys, err := d.on.Keys()
	if err != nil {
		return "", errSkipped("keys")
	}
	set, err := OpenSecrets(node, keys)
	if err != nil {
		return "", err
	}
	defer set.Wipe()
	m, err := migrationsOf(node, set, d.on.Settings.CheckDir)
	switch {
	case err != nil:
		return "", err
	case m == nil:
		return "migration_check is off in config.yml", nil
	}
	id, missing, err := m.highest(ctx)
	if err != nil {
		return "", err
	}
	if missing {
		return fmt.Sprintf("%s answers; it has no table %s yet", m.Database, m.Table), nil
	}
	return fmt.Sprintf("%s is at migration %d of %s", m.Database, id, m.Table), nil
}
