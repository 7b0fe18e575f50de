package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/migrations"
	"coin.internal/coin-agent/agent/readiness"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/manifests"
)

// releaseProbes gives the probes of the release gates, for all services of the stack.
func releaseProbes(d *doctor) *readiness.Probes {
	probes := &readiness.Probes{Settings: d.on.Settings, Node: d.node, Files: d.files, Stack: d.stack}
	if d.engine != nil {
		probes.Engine = d.engine
	}
	if d.stack != nil {
		probes.Images = imagesOf(d.stack)
	}
	return probes
}

// finding gives the doctor's text for a verdict: what stops a rollout is bad, and a
// warning about this release needs a look.
func finding(v *readiness.Verdict) (string, error) {
	faults := v.Transient
	for _, err := range v.Refusals {
		faults = append(faults, doubt{err})
	}
	for _, text := range v.Warnings {
		faults = append(faults, doubt{errors.New(text)})
	}
	return strings.Join(v.Passed, "; "), errors.Join(faults...)
}

// checkDisk checks the free space of the file systems that hold state and images, with
// the bound of config.yml, or the default one if that cannot be read.
func (d *doctor) checkDisk(ctx context.Context) (string, error) {
	gate := manifests.DiskGate{MinFree: "1GB"}
	if d.node != nil {
		gate = d.node.Config.ReleaseGates().Disk
	}
	if gate.Bytes() == 0 {
		gate.MinFree = "1B"
	}
	probes, v := releaseProbes(d), &readiness.Verdict{}
	ready, err := probes.Ready(ctx)
	if err != nil {
		ready = deploy.Info{} // the findings of engine and swarm contain that
	}
	probes.Disk(v, gate, ready)
	return finding(v)
}

// checkHarbor asks Harbor about the stack's images if config.yml enables that.
func (d *doctor) checkHarbor(ctx context.Context) (string, error) {
	if d.node == nil {
		return "", errSkipped("the manifests")
	}
	gate := d.node.Config.ReleaseGates().Vulnerabilities
	switch {
	case !gate.Asked:
		return "config.yml asks none", nil
	case d.stack == nil:
		return "", errSkipped("the manifests")
	}
	probes, v := releaseProbes(d), &readiness.Verdict{}
	if d.engine != nil {
		// Ask by digest, as a rollout does; if no registry answers, by tag.
		if resolved, err := d.engine.Resolve(ctx, nil, d.stack); err == nil {
			probes.Images = imagesOf(resolved.Stack)
		}
	}
	probes.Vulnerabilities(ctx, v, gate)
	return finding(v)
}

// checkDatabase checks that the database answers, with the logins of the checks and the
// migration check. If no rollout depends on it, an error only needs a look.
func (d *doctor) checkDatabase(ctx context.Context) (string, error) {
	switch {
	case d.node == nil:
		return "", errSkipped("the manifests")
	case d.node.Config.Database.Host == "":
		return "config.yml names none", nil
	}
	probes, v := releaseProbes(d), &readiness.Verdict{}
	probes.Databases = logins(d)
	probes.Database(ctx, v)
	if !d.node.Config.ReleaseGates().Database {
		v.Refusals, v.Transient = v.Transient, nil
	}
	return finding(v)
}

// logins lists the databases that the node has a login for. Without the keys the list is
// empty.
func logins(d *doctor) []checks.Database {
	if d.opened == nil {
		return nil
	}
	var list []checks.Check
	entries, _ := d.node.Checks()
	for _, entry := range entries {
		if check, err := d.opened.Check(entry); err == nil {
			list = append(list, check)
		}
	}
	guard, err := migrations.Of(d.opened)
	if err != nil {
		guard = nil
	}
	return readiness.KnownDatabases(guard, list)
}

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
