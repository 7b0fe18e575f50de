package agent

import (
	"context"
	"errors"
	"strings"

	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/manifests"
)

// releaseProbes are those of the release gates, for all services of the stack.
func (d *doctor) releaseProbes(node *manifests.Node) *releaseProbes {
	probes := &releaseProbes{settings: d.settings, node: node, stack: d.stack}
	if d.engine != nil {
		probes.engine = d.engine
	}
	if d.stack != nil {
		probes.images = d.images()
	}
	return probes
}

// node loads what the repository says of the node; nil where it cannot be read.
func (d *doctor) node() *manifests.Node {
	if d.checkout == nil {
		return nil
	}
	node, err := manifests.Load(d.checkout.FS, d.settings.Environment, d.settings.Node)
	if err != nil {
		return nil
	}
	return node
}

// finding is what the doctor says of a verdict: what holds a rollout back is bad, and
// what would be said of this release needs a look.
func (v *verdict) finding() (string, error) {
	faults := v.troubles
	for _, err := range v.refusals {
		faults = append(faults, doubt{err})
	}
	for _, text := range v.warnings {
		faults = append(faults, doubt{errors.New(text)})
	}
	return strings.Join(v.passed, "; "), errors.Join(faults...)
}

// checkDisk looks at the file systems that state and images lie on, by the bound of
// config.yml, or by the usual one where that cannot be read.
func (d *doctor) checkDisk(ctx context.Context) (string, error) {
	node, gate := d.node(), manifests.DiskGate{MinFree: "1GB"}
	if node != nil {
		gate = node.Config.ReleaseGates().Disk
	}
	if gate.Bytes() == 0 {
		gate.MinFree = "1B"
	}
	probes, v := d.releaseProbes(node), &verdict{}
	ready, err := probes.ready(ctx)
	if err != nil {
		ready = deploy.Info{} // which the lines of engine and swarm tell
	}
	probes.disk(v, gate, ready)
	return v.finding()
}

// checkHarbor asks about the stack's images where config.yml has that done.
func (d *doctor) checkHarbor(ctx context.Context) (string, error) {
	node := d.node()
	if node == nil {
		return "", errSkipped("the manifests")
	}
	gate := node.Config.ReleaseGates().Vulnerabilities
	switch {
	case !gate.Asked:
		return "config.yml asks none", nil
	case d.stack == nil:
		return "", errSkipped("the manifests")
	}
	probes, v := d.releaseProbes(node), &verdict{}
	if d.engine != nil {
		// By their digests, as a rollout asks; where no registry tells, by their tags.
		if resolved, _, err := d.engine.Resolve(ctx, &deploy.LiveServices{}, d.stack); err == nil {
			probes.images = imagesOf(resolved)
		}
	}
	probes.vulnerabilities(ctx, v, gate)
	return v.finding()
}

// checkDatabase sees that the database answers, with the logins that checks and the
// migration check have. One that no rollout depends on is worth a look only.
func (d *doctor) checkDatabase(ctx context.Context) (string, error) {
	node := d.node()
	switch {
	case node == nil:
		return "", errSkipped("the manifests")
	case node.Config.Database.Host == "":
		return "config.yml names none", nil
	}
	probes, v := d.releaseProbes(node), &verdict{}
	done := d.logins(node, probes)
	defer done()
	probes.database(ctx, v)
	if !node.Config.ReleaseGates().Database {
		v.refusals, v.troubles = v.troubles, nil
	}
	return v.finding()
}

// logins adds the databases that the node has a login for, until the function that
// it gives is called. Without the keys there are none.
func (d *doctor) logins(node *manifests.Node, probes *releaseProbes) (done func()) {
	keys, err := d.settings.Keyring()
	if err != nil {
		return func() {}
	}
	set, err := OpenSecrets(node, keys)
	if err != nil {
		return func() {}
	}
	var list []checks.Check
	from := &checkSources{node: node, secrets: set, dir: d.settings.CheckDir}
	entries, _ := node.Config.Checks(node.Name)
	for _, entry := range entries {
		if check, err := from.check(entry); err == nil {
			list = append(list, check)
		}
	}
	guard, err := migrationsOf(node, set, d.settings.CheckDir)
	if err != nil {
		guard = nil
	}
	probes.databases = knownDatabases(guard, list)
	return set.Wipe
}
