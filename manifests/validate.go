package manifests

import (
	"fmt"
	"strings"
)

// validate finds what contradicts itself in a config.yml whose single keys are
// right; environment is the name of the folder it stands in.
func (c *Config) validate(environment string) faults {
	var found faults
	if name := c.Environment.Name; name != "" && name != environment {
		found.add(c.Place("environment.name"), fmt.Sprintf("write name: %s, or rename the folder", environment),
			"environment.name is %q, but the folder is environments/%s", name, environment)
	}
	if _, set := c.places["nodes"]; set && len(c.Nodes) == 0 {
		found.add(c.Place("nodes"), "list at least one node with name, context and stack", "nodes is empty")
	}
	c.validateNodes(&found)
	c.validateOrder(&found)
	c.validateWaves(&found)
	c.validateStrategy(&found)
	c.validateTwins(&found)
	c.validateChecks(&found)
	c.validateApproval(&found)
	c.validateFreeze(&found)
	c.validateMigration(&found)
	c.validateGates(&found)
	c.unique(&found, "secrets.required", c.Secrets.Required)
	if c.AllowPlaintextSecrets && c.Environment.Type == Production {
		found.add(c.Place("allow_plaintext_secrets"), "remove the key and encrypt the secrets with sops",
			"allow_plaintext_secrets is refused in an environment of type production")
	}
	return found
}

func (c *Config) validateNodes(found *faults) {
	names, stacks := map[string]int{}, map[string]int{}
	for i, node := range c.Nodes {
		key := fmt.Sprintf("nodes[%d]", i)
		if before, twice := names[node.Name]; twice && node.Name != "" {
			found.add(c.Place(key+".name"), "rename or remove one of the two", "node %q is listed twice, first on line %d",
				node.Name, c.Place(fmt.Sprintf("nodes[%d].name", before)).Line)
			continue
		}
		names[node.Name] = i
		if node.Stack != "" && node.Context != "" {
			at := node.Context + "\x00" + node.Stack
			if before, twice := stacks[at]; twice {
				found.add(c.Place(key+".stack"), "give each node a stack of its own",
					"nodes %s and %s both have the stack %q on the context %s", c.Nodes[before].Name, node.Name, node.Stack, node.Context)
			} else {
				stacks[at] = i
			}
		}
		c.unique(found, key+".compose_files", node.ComposeFiles)
		c.unique(found, key+".project_files", node.ProjectFiles)
		c.unique(found, key+".required_secrets", node.RequiredSecrets)
	}
}

func (c *Config) validateOrder(found *faults) {
	if len(c.Deployment.Order) == 0 {
		return
	}
	c.unique(found, "deployment.order", c.Deployment.Order)
	listed := map[string]bool{}
	for i, name := range c.Deployment.Order {
		listed[name] = true
		if _, ok := c.Node(name); !ok && name != "" {
			found.add(c.Place(fmt.Sprintf("deployment.order[%d]", i)), oneOf(name, c.nodeNames()), "deployment.order names the node %q, which nodes does not list", name)
		}
	}
	var missing []string
	for _, name := range c.nodeNames() {
		if name != "" && !listed[name] {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		found.add(c.Place("deployment.order"), "add "+strings.Join(missing, ", ")+", or remove order to roll out in the order of nodes",
			"deployment.order leaves out %s", strings.Join(missing, ", "))
	}
}

// validateTwins compares the keys that have a short and a long form.
func (c *Config) validateTwins(found *faults) {
	short, long := c.Deployment.HealthCheckTimeout, c.Deployment.HealthCheck.Timeout
	if short != 0 && long != 0 && short != long {
		found.add(c.Place("deployment.health_check_timeout"), "remove health_check_timeout",
			"deployment.health_check_timeout is %s, but deployment.health_check.timeout is %s", short, long)
	}
	_, shortSet := c.places["deployment.approval_required"]
	_, longSet := c.places["approval.required"]
	if shortSet && longSet && c.Deployment.ApprovalRequired != c.Approval.Required {
		found.add(c.Place("deployment.approval_required"), "remove approval_required",
			"deployment.approval_required is %t, but approval.required is %t", c.Deployment.ApprovalRequired, c.Approval.Required)
	}
}

func (c *Config) unique(found *faults, key string, items []string) {
	first := map[string]int{}
	for i, item := range items {
		if before, twice := first[item]; twice && item != "" {
			found.add(c.Place(fmt.Sprintf("%s[%d]", key, i)), "remove one of the two", "%s lists %q twice, first on line %d",
				key, item, c.Place(fmt.Sprintf("%s[%d]", key, before)).Line)
			continue
		}
		first[item] = i
	}
}
