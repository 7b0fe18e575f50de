package manifests

import (
	"fmt"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// validate finds contradictions between the keys of the config.yml in the folder of
// environment.
func (c *Config) validate(environment string) faults {
	var found faults
	if name := c.Environment.Name; name != "" && name != environment {
		found.add(c.Place("environment.name"), fmt.Sprintf("write name: %s, or rename the folder", environment),
			"environment.name is %q, but the folder is environments/%s", name, environment)
	}
	if c.set("nodes") && len(c.Nodes) == 0 {
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
	c.validateLogin(&found, migrationKey, c.Deployment.MigrationCheck.SSLMode)
	c.validateGates(&found)
	c.unique(&found, "secrets.required[]", c.Secrets.Required)
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
				found.add(c.Place(key+".stack"), "set a different stack for each node",
					"nodes %s and %s both have the stack %q on the context %s", c.Nodes[before].Name, node.Name, node.Stack, node.Context)
			} else {
				stacks[at] = i
			}
		}
		c.unique(found, key+".compose_files[]", node.ComposeFiles)
		c.unique(found, key+".project_files[]", node.ProjectFiles)
		c.unique(found, key+".required_secrets[]", node.RequiredSecrets)
	}
}

func (c *Config) validateOrder(found *faults) {
	if len(c.Deployment.Order) == 0 {
		return
	}
	c.listsNodes(found, "deployment.order", c.Deployment.Order)
	var missing []string
	for _, name := range c.nodeNames() {
		if name != "" && !slices.Contains(c.Deployment.Order, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		found.add(c.Place("deployment.order"), "add "+strings.Join(missing, ", ")+", or remove order to roll out in the order of nodes",
			"deployment.order does not list %s", strings.Join(missing, ", "))
	}
}

// validateTwins compares keys that have a short and a long form.
func (c *Config) validateTwins(found *faults) {
	short, long := c.Deployment.HealthCheckTimeout, c.Deployment.HealthCheck.Timeout
	if short != 0 && long != 0 && short != long {
		found.add(c.Place("deployment.health_check_timeout"), "remove health_check_timeout",
			"deployment.health_check_timeout is %s, but deployment.health_check.timeout is %s", short, long)
	}
	if c.set("deployment.approval_required") && c.set("approval.required") && c.Deployment.ApprovalRequired != c.Approval.Required {
		found.add(c.Place("deployment.approval_required"), "remove approval_required",
			"deployment.approval_required is %t, but approval.required is %t", c.Deployment.ApprovalRequired, c.Approval.Required)
	}
}

// listsNodes finds entries of the list at key that are not nodes, or are listed twice.
func (c *Config) listsNodes(found *faults, key string, names []string) {
	for i, name := range names {
		if _, ok := c.Node(name); !ok && name != "" {
			found.add(c.Place(fmt.Sprintf("%s[%d]", key, i)), oneOf(name, c.nodeNames()), "%s lists %q, which is not a node in config.yml", key, name)
		}
	}
	c.unique(found, key+"[]", names)
}

// unique finds items that are listed twice. The keys of the items are key with the
// index in [].
func (c *Config) unique(found *faults, key string, items []string) {
	list, field, _ := strings.Cut(key, "[]")
	first := map[string]fault.Place{}
	for i, item := range items {
		place := c.Place(fmt.Sprintf("%s[%d]%s", list, i, field))
		if before, twice := first[item]; twice && item != "" {
			found.add(place, "rename or remove one of the two", "%s lists %q twice, first on line %d", list, item, before.Line)
			continue
		}
		first[item] = place
	}
}
