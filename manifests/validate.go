package manifests

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// validator finds contradictions between the keys of a config.yml.
type validator struct {
	config *Config
	faults faults
}

// add adds a fault at the place of a key.
func (v *validator) add(key, hint, format string, args ...any) {
	v.faults.add(v.config.Place(key), hint, format, args...)
}

// validate finds contradictions in the config.yml in the folder of environment, and names the
// stacks of nodes that name none.
func validate(config *Config, environment string) faults {
	v := &validator{config: config}
	if name := config.Environment.Name; name != "" && name != environment {
		v.add("environment.name", fmt.Sprintf("write name: %s, or rename the folder", environment),
			"environment.name is %q, but the folder is environments/%s", name, environment)
	}
	if config.set("nodes") && len(config.Nodes) == 0 {
		v.add("nodes", "list at least one node with its name", "nodes is empty")
	}
	v.validateNodes()
	v.validateOrder()
	v.validateWaves()
	v.validateStrategy()
	v.validateTwins()
	v.validateChecks()
	v.validateApproval()
	v.validateFreezes()
	v.listsStacks(migrationKey+".stacks", config.Deployment.MigrationCheck.Stacks, nil)
	validateLogin(v, migrationKey, config.Deployment.MigrationCheck.SSLMode)
	v.validateGates()
	v.validateFeatures()
	v.validateDriftIgnore()
	v.validatePromote()
	v.unique("secrets.required[]", config.Secrets.Required)
	if config.AllowPlaintextSecrets && config.Environment.Type == Production {
		v.add("allow_plaintext_secrets", "remove the key and encrypt the secrets with sops",
			"allow_plaintext_secrets is refused in an environment of type production")
	}
	return v.faults
}

func (v *validator) validateNodes() {
	names, stacks := map[string]int{}, map[string]string{}
	for i, node := range v.config.Nodes {
		key := fmt.Sprintf("nodes[%d]", i)
		if before, twice := names[node.Name]; twice && node.Name != "" {
			v.add(key+".name", "rename or remove one of the two", "node %q is listed twice, first on line %d",
				node.Name, v.config.Place(fmt.Sprintf("nodes[%d].name", before)).Line)
			continue
		}
		names[node.Name] = i
		v.validateStacks(key, &v.config.Nodes[i])
		if node.Stack == "" && node.Name != "" && !v.config.set(key+".stack") && !v.config.set(key+".stacks") {
			nameStack(v, i, key)
		}
		v.onContext(key, v.config.Nodes[i], stacks)
		v.unique(key+".compose_files[]", node.ComposeFiles)
		v.unique(key+".project_files[]", node.ProjectFiles)
		v.unique(key+".node_files[]", node.NodeFiles)
		v.unique(key+".required_secrets[]", node.RequiredSecrets)
	}
}

// onContext finds a stack that another node has on the same context. stacks has the nodes by
// context and stack.
func (v *validator) onContext(key string, node NodeConfig, stacks map[string]string) {
	if node.Context == "" {
		return
	}
	at := map[string]string{node.Stack: key + ".stack"}
	for i, one := range node.Stacks {
		at[one.Name] = fmt.Sprintf("%s.stacks[%d].name", key, i)
	}
	for _, name := range slices.Sorted(maps.Keys(at)) {
		on := node.Context + "\x00" + name
		if before, twice := stacks[on]; twice && before != node.Name && name != "" {
			v.add(at[name], "set a different stack for each node",
				"nodes %s and %s both have the stack %q on the context %s", before, node.Name, name, node.Context)
		} else {
			stacks[on] = node.Name
		}
	}
}

// nameStack gives a node without a stack one of the node's name.
func nameStack(v *validator, i int, key string) {
	node := &v.config.Nodes[i]
	if !formats["stack"].matches(node.Name) {
		v.add(key+".name", "add stack with a name of letters, digits, '_' and '-'", "node %s has no stack, and its name is no name of a stack", node.Name)
		return
	}
	node.Stack = node.Name
}

// validatePromote finds entries for nodes that do not exist. The other environment's nodes are
// not known here.
func (v *validator) validatePromote() {
	for _, name := range slices.Sorted(maps.Keys(v.config.Promote)) {
		if _, ok := v.config.Node(name); !ok {
			v.add("promote."+name, oneOf(name, nodeNames(v.config)), "promote has an entry for %q, which is not a node in config.yml", name)
		}
	}
}

func (v *validator) validateOrder() {
	if len(v.config.Deployment.Order) == 0 {
		return
	}
	v.listsNodes("deployment.order", v.config.Deployment.Order)
	missing := slices.DeleteFunc(nodeNames(v.config), func(name string) bool {
		return name == "" || slices.Contains(v.config.Deployment.Order, name)
	})
	if len(missing) > 0 {
		v.add("deployment.order", "add "+strings.Join(missing, ", ")+", or remove order to roll out in the order of nodes",
			"deployment.order does not list %s", strings.Join(missing, ", "))
	}
}

// validateTwins compares keys that have a short and a long form.
func (v *validator) validateTwins() {
	short, long := v.config.Deployment.HealthCheckTimeout, v.config.Deployment.HealthCheck.Timeout
	if short != 0 && long != 0 && short != long {
		v.add("deployment.health_check_timeout", "remove health_check_timeout",
			"deployment.health_check_timeout is %s, but deployment.health_check.timeout is %s", short, long)
	}
	if v.config.set("deployment.approval_required") && v.config.set("approval.required") && v.config.Deployment.ApprovalRequired != v.config.Approval.Required {
		v.add("deployment.approval_required", "remove approval_required",
			"deployment.approval_required is %t, but approval.required is %t", v.config.Deployment.ApprovalRequired, v.config.Approval.Required)
	}
}

// listsNodes finds entries of the list at key that are not nodes, or are listed twice.
func (v *validator) listsNodes(key string, names []string) {
	for i, name := range names {
		if _, ok := v.config.Node(name); !ok && name != "" {
			v.add(fmt.Sprintf("%s[%d]", key, i), oneOf(name, nodeNames(v.config)), "%s lists %q, which is not a node in config.yml", key, name)
		}
	}
	v.unique(key+"[]", names)
}

// unique finds items that are listed twice. The keys of the items are key with the
// index in [].
func (v *validator) unique(key string, items []string) {
	list, field, _ := strings.Cut(key, "[]")
	first := map[string]string{}
	for i, item := range items {
		v.once(first, list, fmt.Sprintf("%s[%d]%s", list, i, field), item, "rename or remove one of the two")
	}
}

// once finds an item at key that the list has before. first has the keys of the items.
func (v *validator) once(first map[string]string, list, key, item, hint string) {
	if before, twice := first[item]; twice && item != "" {
		v.add(key, hint, "%s lists %q twice, first on line %d", list, item, v.config.Place(before).Line)
		return
	}
	first[item] = key
}
