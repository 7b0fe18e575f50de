package manifests

import (
	"cmp"
	"io/fs"
)

// Past reads the stacks of a node as of an old commit, to see what they were. What it cannot read
// counts as absent, and an unset variable is empty. A node that config.yml does not list has the
// defaults, and no stack without its folder. Only what compose files and secrets need is read.
func Past(fsys fs.FS, environment, node string) []*Node {
	config, _ := InspectConfig(fsys, environment) // as far as it can be read
	if config == nil {
		config = &Config{}
	}
	if _, listed := config.Node(node); !listed {
		config.Nodes = append(config.Nodes, NodeConfig{Name: node})
	}
	config.Interpolation = Lenient
	var stacks []*Node
	for _, stack := range config.StacksOf(node) {
		l := &loader{repository: &repository{under: fsys}}
		chosen, ok := l.choose(config, selection{environment, node, stack.Name})
		if !ok || !l.open(config, chosen, environment) {
			continue
		}
		l.node.Stack = cmp.Or(stack.Name, node)
		l.composeFiles()
		l.secretFiles()
		l.variables()
		stacks = append(stacks, l.node)
	}
	return stacks
}
