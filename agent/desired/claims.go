package desired

import (
	"io/fs"
	"slices"

	"coin.internal/coin-agent/compose"
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
