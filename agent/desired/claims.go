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

// Claims gives what a rendered stack claims, of what is claimed once.
func (s *State) Claims(stack *compose.Stack) compose.Claimant {
	return compose.Claimant{Stack: named(s.Node), Claims: once(stack.Claims())}
}

// Claimed gives what a stack of a node claims, of what is claimed once. It needs no keys. What
// else is wrong with the stack, its own rendering says.
func Claimed(ctx context.Context, fsys fs.FS, options Options) (compose.Claimant, error) {
	if options.Limits != (limits.Limits{}) {
		fsys = limits.On(fsys, options.Limits)
	}
	return apart.Do(ctx, func() (compose.Claimant, error) {
		claims := lookAt(fsys, Checked{Environment: options.Environment, Node: options.Node, Stack: options.Stack}, nil).checked.claims
		claims.Claims = once(claims.Claims)
		return claims, nil
	}, nil)
}

// once leaves out the claims of kinds that are not claimed once.
func once(claims []compose.Claim) []compose.Claim {
	return slices.DeleteFunc(claims, func(c compose.Claim) bool { return !slices.Contains(claimedOnce, c.Kind) })
}

// Listed names the stacks of a node in their order; none if config.yml does not list them.
func Listed(fsys fs.FS, options Options) []string {
	if options.Limits != (limits.Limits{}) {
		fsys = limits.On(fsys, options.Limits)
	}
	config, _ := manifests.InspectConfig(fsys, options.Environment)
	if config == nil || !config.Layered(options.Node) {
		return nil
	}
	return config.StackNames(options.Node)
}

// Disputed refuses that two stacks of a node claim one object or port, with the places of both.
func Disputed(claims []compose.Claimant) error {
	var faults []error
	for _, found := range compose.Disputes(claims) {
		faults = append(faults, joined(found))
	}
	return errors.Join(faults...)
}
