package release

import (
	"maps"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// Pair is a node and the node of the environment before it whose release it gets.
type Pair struct {
	To   string `json:"to"`
	From string `json:"from"`
}

// pairs gives each node of an environment the node of the one before it that config.yml names
// in promote. Without an entry, the nodes of a role get their releases from the nodes of that
// role, in the order of nodes; the first one follows the last.
func pairs(from, to *manifests.Config) ([]Pair, error) {
	names := func(nodes []manifests.NodeConfig) (all []string) {
		for _, node := range nodes {
			all = append(all, node.Name)
		}
		return all
	}
	sources := map[manifests.Role][]string{}
	for _, node := range from.Nodes {
		sources[node.Role] = append(sources[node.Role], node.Name)
	}
	var all []Pair
	taken := map[manifests.Role]int{}
	for _, node := range to.Nodes {
		known := sources[node.Role]
		if len(from.Nodes) == 1 {
			known = names(from.Nodes)
		}
		named, listed := to.Promote[node.Name]
		switch {
		case listed && !slices.Contains(names(from.Nodes), named):
			return nil, fault.New(to.Place("promote."+node.Name), "name one of its nodes: "+strings.Join(names(from.Nodes), ", "),
				"promote names %q for %s, which is not a node of %s", named, node.Name, from.Environment.Name)
		case listed:
			all = append(all, Pair{To: node.Name, From: named})
		case len(known) == 0:
			return nil, fault.New(to.Place("nodes"), "add a table to its config.yml: promote: {"+node.Name+": "+names(from.Nodes)[0]+"}",
				"no node of %s has the role %s of %s; its nodes are %s", from.Environment.Name, node.Role, node.Name, strings.Join(names(from.Nodes), ", "))
		default:
			all = append(all, Pair{To: node.Name, From: known[taken[node.Role]%len(known)]})
			taken[node.Role]++
		}
	}
	return all, nil
}

// order is the order of environments, in which a release moves.
var order = []string{"development", "sandbox", "testing", "production"} //nolint:gochecknoglobals // a constant list

// Steps lists the promotions that there are, such as "sandbox testing".
func Steps() (all []string) {
	for i := range order[1:] {
		all = append(all, order[i]+" "+order[i+1])
	}
	return all
}

// sorted gives the keys of a map in order.
func sorted[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }
