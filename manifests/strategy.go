package manifests

import (
	"fmt"
	"slices"
	"time"
)

// BlueGreenRules is the section `deployment.blue_green`.
type BlueGreenRules struct {
	Soak     time.Duration `yaml:"soak" example:"10m" doc:"How long the secondaries must be healthy before the first primary starts. Default: no wait."`
	Approval bool          `yaml:"approval" doc:"Whether the primaries wait for agent approve after the secondaries are healthy."`
}

// Before lists the nodes that must succeed with a commit before a node starts with
// it, in rollout order.
func (c *Config) Before(node string) []string {
	ordered := c.ordered(node)
	return append(slices.DeleteFunc(slices.Clone(c.after), func(one string) bool { return slices.Contains(ordered, one) }), ordered...)
}

// ordered lists the nodes before a node by strategy and order.
func (c *Config) ordered(node string) []string {
	entry, _ := c.Node(node)
	order := c.Order()
	at := slices.Index(order, node)
	if at < 0 {
		return nil
	}
	switch c.Deployment.Strategy {
	case Parallel, Replace:
		return nil
	case BlueGreen:
		if entry.Role == Secondary {
			return nil
		}
		return slices.Concat(withRole(c, order, Secondary), withRole(c, order[:at], Primary))
	case Sequential:
	}
	return slices.Clone(order[:at])
}

// Greens lists the nodes that roll out first in a blue-green rollout. Other strategies
// have none.
func (c *Config) Greens() []string {
	if c.Deployment.Strategy != BlueGreen {
		return nil
	}
	return withRole(c, c.Order(), Secondary)
}

// Others lists the other nodes of a node's group in a blue-green rollout. Other
// strategies have none.
func (c *Config) Others(node string) []string {
	if c.Deployment.Strategy != BlueGreen {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.Order()), func(name string) bool { return name == node })
}

// Awaits reports whether another node waits for a node's success with a commit, or for its failure.
func (c *Config) Awaits(node string) bool {
	return slices.ContainsFunc(c.Nodes, func(other NodeConfig) bool {
		return other.Name != node && slices.Contains(slices.Concat(c.Before(other.Name), c.Others(other.Name)), node)
	})
}

func withRole(c *Config, names []string, role Role) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		node, _ := c.Node(name)
		return node.Role != role
	})
}

// validateStrategy finds a blue-green rollout that lacks a role, and blue-green
// settings with another strategy.
func (v *validator) validateStrategy() {
	if v.config.Deployment.Strategy != BlueGreen {
		if v.config.set("deployment.blue_green") {
			v.add("deployment.blue_green", "write strategy: blue-green, or remove blue_green",
				"deployment.blue_green is set, but deployment.strategy is %s", v.config.Deployment.Strategy)
		}
		return
	}
	roles := map[Role]int{}
	for i, node := range v.config.Nodes {
		key := fmt.Sprintf("nodes[%d]", i)
		roles[node.Role]++
		if !v.config.set(key + ".role") {
			v.add(key, "add role: primary, or role: secondary to roll out first",
				"node %q has no role, but deployment.strategy is blue-green", node.Name)
		}
	}
	for _, role := range []Role{Primary, Secondary} {
		if roles[role] == 0 && len(v.config.Nodes) > 0 {
			v.add("deployment.strategy", fmt.Sprintf("set role: %s for a node, or write strategy: sequential", role),
				"deployment.strategy is blue-green, but no node has the role %s", role)
		}
	}
}
