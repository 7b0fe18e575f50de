package desired

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
)

// Dispute adds to the results of an environment's stacks the problem of each object or port that
// an earlier stack of the same engine claims: of the same node, or of one with the same context.
func Dispute(fsys fs.FS, environment string, results []Checked) {
	config, _ := manifests.InspectConfig(fsys, environment)
	if config == nil {
		return
	}
	engine := func(c Checked) string {
		if entry, _ := config.Node(c.Node); entry.Context != "" {
			return "context " + entry.Context
		}
		return "node " + c.Node
	}
	var engines []string
	for _, one := range results {
		if name := engine(one); one.Node != "" && !slices.Contains(engines, name) {
			engines = append(engines, name)
		}
	}
	for _, name := range engines {
		var indexes []int
		var claims []compose.Claimant
		for i, one := range results {
			if one.Node != "" && engine(one) == name {
				indexes, claims = append(indexes, i), append(claims, one.claims)
			}
		}
		for i, faults := range compose.Disputes(claims) {
			results[indexes[i]].Problems = append(results[indexes[i]].Problems, problems(joined(faults))...)
		}
	}
}

// claimedOnce are the kinds of claims that are known without keys: the names of secrets and
// configs can depend on encrypted versions.
var claimedOnce = []string{"network", "volume", "service", "port"}

// Disputed refuses files in which two stacks of a node claim one object or port, with the places
// of both. It needs no keys. What else is wrong with a stack, its own rendering says.
func Disputed(ctx context.Context, fsys fs.FS, options Options) error {
	if options.Limits != (limits.Limits{}) {
		fsys = limits.On(fsys, options.Limits)
	}
	faults, err := apart.Do(ctx, func() (faults []error, _ error) {
		for _, found := range compose.Disputes(claimants(fsys, options)) {
			faults = append(faults, joined(found))
		}
		return faults, nil
	}, nil)
	return errors.Join(append(faults, err)...)
}

// claimants gives what the stacks of a node claim, in their order.
func claimants(fsys fs.FS, options Options) (all []compose.Claimant) {
	config, _ := manifests.InspectConfig(fsys, options.Environment)
	if config == nil || !config.Layered(options.Node) {
		return nil
	}
	for _, one := range config.StacksOf(options.Node) {
		claims := lookAt(fsys, Checked{Environment: options.Environment, Node: options.Node, Stack: one.Name}, nil).checked.claims
		claims.Claims = slices.DeleteFunc(claims.Claims, func(c compose.Claim) bool { return !slices.Contains(claimedOnce, c.Kind) })
		all = append(all, claims)
	}
	return all
}
