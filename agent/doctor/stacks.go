package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/internal/plural"
)

// checkStacks renders each stack of a node with several. What the release needs is then looked at
// for the last one, which needs the others.
func checkStacks(ctx context.Context, d *doctor, options desired.Options) (string, error) {
	if _, err := d.on.Keys(); err != nil {
		d.closed = errSkipped("keys")
		return "", d.closed
	}
	d.closed = errSkipped("the manifests")
	all, err := desired.RenderAll(ctx, d.checkout.FS, options)
	if err != nil {
		return "", err
	}
	var names []string
	var faults []error
	services, secrets := 0, 0
	for _, one := range all {
		names, faults = append(names, one.Stack.Name), append(faults, one.State.Bounded())
		services, secrets = services+len(one.Stack.Services), secrets+len(one.Stack.Secrets)
	}
	last := all[len(all)-1]
	d.others = all[:len(all)-1]
	d.node, d.files, d.opened, d.stack = last.State.Node, last.State.CheckFile, last.State, last.Stack
	if err := errors.Join(faults...); err != nil {
		return "", err
	}
	return fmt.Sprintf("stacks %s: %s, %s; images, migrations and databases are those of %s",
		strings.Join(names, ", "), plural.Count(services, "service"), plural.Count(secrets, "secret"), last.Stack.Name), nil
}
