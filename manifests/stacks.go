package manifests

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// StackConfig is one entry of `nodes[].stacks`.
type StackConfig struct {
	Name     string   `yaml:"name" required:"true" format:"stack" example:"platform" doc:"The name of the Swarm stack. It is a stack of its own, with its own history and status."`
	Path     string   `yaml:"path" format:"folder" example:"platform" doc:"The stack's folder, below the node's folder. A dot is the node's folder itself. Default: the stack's name."`
	Files    []string `yaml:"files" format:"file" example:"[docker-compose.yml]" doc:"The stack's compose files in merge order, relative to its folder. Default: docker-compose.yml, custom.secrets.yml, then docker-compose-*.y(a)ml sorted."`
	WaitsFor []string `yaml:"waits_for" example:"[system]" doc:"The earlier stacks of the list that this one waits for. Default: the stack before it. An empty list means none."`
	Prune    bool     `yaml:"prune" doc:"Whether the stack may be removed from the engine once a commit takes it off the list. Otherwise it stays as it is, and is no longer kept in sync."`
}

// secretsFolder is the folder of a node, or of a stack, whose files are all SOPS files.
const secretsFolder = "secrets"

// StacksOf lists the stacks of a node in the order of config.yml. A node that lists none
// has the one of its key `stack`, in its own folder.
func (c *Config) StacksOf(node string) []StackConfig {
	entry, known := c.Node(node)
	if !known {
		return nil
	}
	if !c.Layered(node) {
		return []StackConfig{{Name: entry.Stack, Path: ".", Files: entry.ComposeFiles}}
	}
	return slices.DeleteFunc(slices.Clone(entry.Stacks), func(one StackConfig) bool { return one.Name == "" })
}

// Layered reports whether config.yml lists the stacks of a node. The only stack of another
// node has no name of its own: whatever is said of it is said of the node.
func (c *Config) Layered(node string) bool {
	index := slices.Index(nodeNames(c), node)
	return index >= 0 && c.set(fmt.Sprintf("nodes[%d].stacks", index))
}

// StackNames names the stacks of a node in the order of config.yml, as LoadStack takes them: a node
// that lists none has the empty name.
func (c *Config) StackNames(node string) []string {
	if !c.Layered(node) {
		return []string{""}
	}
	return stackNames(c, node)
}

// stackNames lists the stacks of a node by name.
func stackNames(c *Config, node string) []string {
	var names []string
	for _, stack := range c.StacksOf(node) {
		names = append(names, stack.Name)
	}
	return names
}

// selection names what is loaded.
type selection struct{ environment, node, stack string }

// selected is a stack with its node, and the keys of both in config.yml.
type selected struct {
	entry           NodeConfig
	stack           StackConfig
	key, stackKey   string // nodes[0], nodes[0].stacks[1]
	files, nameOfIt string // the keys of its compose files and of its name
	layered         bool
}

// choose finds a stack of a node, and adds a fault if there is none. The empty name is that
// of a node's only stack.
func (l *loader) choose(config *Config, of selection) (selected, bool) {
	entry, _ := config.Node(of.node)
	stacks := config.StacksOf(of.node)
	key := fmt.Sprintf("nodes[%d]", slices.Index(nodeNames(config), of.node))
	chosen := selected{entry: entry, key: key, stackKey: key, layered: config.Layered(of.node), files: key + ".compose_files", nameOfIt: key + ".stack"}
	if !chosen.layered && of.stack == "" {
		chosen.stack = stacks[0]
		return chosen, true
	}
	names := stackNames(config, of.node)
	index := slices.Index(names, of.stack)
	if of.stack == "" && len(names) == 1 {
		index = 0
	}
	switch {
	case index >= 0:
		chosen.stack = stacks[index]
	case len(l.faults) > 0: // an unreadable entry may be the stack
		return chosen, false
	case of.stack == "":
		l.faults.add(config.Place(key+".stacks"), "name one of them: "+strings.Join(names, ", "), "node %s has several stacks, and none is named", of.node)
		return chosen, false
	default:
		l.faults.add(config.Place(key+".stacks"), oneOf(of.stack, names), "node %s has no stack %q", of.node, of.stack)
		return chosen, false
	}
	if chosen.layered {
		at := slices.IndexFunc(entry.Stacks, func(one StackConfig) bool { return one.Name == chosen.stack.Name })
		chosen.stackKey = fmt.Sprintf("%s.stacks[%d]", key, at)
		chosen.files, chosen.nameOfIt = chosen.stackKey+".files", chosen.stackKey+".name"
	}
	return chosen, true
}

// Alone reports whether the environment has no other stack: what config.yml says of services is
// then said of this one's.
func (n *Node) Alone() bool {
	return len(n.Config.Nodes) == 1 && len(n.Config.StacksOf(n.Name)) == 1
}

// StackPlace returns where config.yml names the node's stack.
func (n *Node) StackPlace() fault.Place {
	key := fmt.Sprintf("nodes[%d]", slices.Index(nodeNames(n.Config), n.Name))
	for i, one := range n.Config.StacksOf(n.Name) {
		if n.Config.Layered(n.Name) && one.Name == n.Stack {
			return n.Config.Place(fmt.Sprintf("%s.stacks[%d].name", key, i))
		}
	}
	return n.Config.Place(key + ".stack")
}

// configOf gives the config.yml for a stack. One that does not migrate the database has the migration
// check off.
func configOf(c *Config, stack selected) *Config {
	if !c.Deployment.MigrationCheck.Enabled || follows(c, stack.entry.Name, stack.stack.Name, c.Deployment.MigrationCheck.Stacks) {
		return c
	}
	own := *c
	own.Deployment.MigrationCheck.Enabled = false
	return &own
}

// follows reports whether a list of stacks in config.yml has a node's stack. An empty list has
// the last one.
func follows(c *Config, node, stack string, listed []string) bool {
	names := stackNames(c, node)
	last := !c.Layered(node) || len(names) > 0 && names[len(names)-1] == stack
	return slices.Contains(listed, stack) || len(listed) == 0 && last
}

func (n *Node) follows(listed []string) bool { return follows(n.Config, n.Name, n.Stack, listed) }

// SecretsElsewhere lists the SOPS files of the node's other stacks, as SecretFiles does, and
// their folders. What cannot be read is left out: it is a fault of those stacks.
func (n *Node) SecretsElsewhere() (folders, files []string) {
	l := &loader{repository: &repository{under: n.FS}, names: map[string][]string{}}
	for _, stack := range n.Config.StacksOf(n.Name) {
		dir := path.Join(n.Home, stack.Path)
		if slices.Contains(n.Folders(), dir) || slices.Contains(folders, dir) {
			continue
		}
		l.names[dir] = regularFiles(l, dir)
		folders, files = append(folders, dir), append(files, l.secretsIn(dir)...)
	}
	return folders, files
}

// listsStacks finds entries of the list at key that are not stacks of the nodes, or are listed
// twice. No nodes are all of them.
func (v *validator) listsStacks(key string, names, nodes []string) {
	var known []string
	for _, node := range nodeNames(v.config) {
		if len(nodes) == 0 || slices.Contains(nodes, node) {
			known = append(known, stackNames(v.config, node)...)
		}
	}
	for i, name := range names {
		if name != "" && !slices.Contains(known, name) {
			v.add(fmt.Sprintf("%s[%d]", key, i), oneOf(name, known), "%s lists %q, which is not a stack of these nodes", key, name)
		}
	}
	v.unique(key+"[]", names)
}

// validateStacks finds contradictions in the stacks of a node, and fills in their defaults.
func (v *validator) validateStacks(key string, node *NodeConfig) {
	if !v.config.set(key + ".stacks") {
		return
	}
	for _, one := range []string{"stack", "compose_files"} {
		if v.config.set(key + "." + one) {
			v.add(key+"."+one, "move it into an entry of stacks", "%s has both stacks and %s", key, one)
		}
	}
	if len(node.Stacks) == 0 {
		v.add(key+".stacks", "list at least one stack with its name, or remove the key", "%s.stacks is empty", key)
	}
	first := map[string]string{}
	for i := range node.Stacks {
		stack, at := &node.Stacks[i], fmt.Sprintf("%s.stacks[%d]", key, i)
		if stack.Name == "default" { // the agent's name for the only stack of a node
			v.add(at+".name", "give the stack another name", "the stack cannot have the name default")
		}
		v.once(first, key+".stacks", at+".name", stack.Name, "rename or remove one of the two")
		v.unique(at+".files[]", stack.Files)
		validateWaits(v, at, node.Stacks[:i], stack)
		if stack.Path == "" && !v.config.set(at+".path") {
			stack.Path = stack.Name
		}
		if slices.Contains(strings.Split(stack.Path, "/"), secretsFolder) {
			v.add(at+".path", "give the stack another folder with path", "a folder %s has SOPS files, so it cannot be the folder of a stack", secretsFolder)
		}
	}
}

// validateWaits finds names that are not earlier stacks, and fills in the stack before.
func validateWaits(v *validator, key string, earlier []StackConfig, stack *StackConfig) {
	var names []string
	for _, one := range earlier {
		names = append(names, one.Name)
	}
	if !v.config.set(key+".waits_for") && len(names) > 0 {
		stack.WaitsFor = names[len(names)-1:]
		return
	}
	for i, name := range stack.WaitsFor {
		if name != "" && !slices.Contains(names, name) {
			v.add(fmt.Sprintf("%s.waits_for[%d]", key, i), earlierHint(name, names), "stack %s waits for %q, which is not an earlier stack of the node", stack.Name, name)
		}
	}
	v.unique(key+".waits_for[]", stack.WaitsFor)
}

func earlierHint(name string, earlier []string) string {
	if len(earlier) == 0 {
		return "remove waits_for, or move the stack below those that it waits for"
	}
	return oneOf(name, earlier) + "; or move the stack below those that it waits for"
}

func isFolder(text string) bool { return fs.ValidPath(text) && !strings.ContainsRune(text, 0) }
