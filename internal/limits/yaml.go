package limits

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// Shape is how large a YAML document is once its aliases are replaced by what they name.
type Shape struct {
	Values int   // keys, scalars, mappings and lists, and the variables in them
	Bytes  Bytes // of the scalars
	Depth  int   // mappings and lists within each other
}

// most bounds the sums, so that they do not overflow.
const most = 1 << 50

// ShapeOf measures a document without building what its aliases stand for. An anchor that
// contains itself counts once: every reader refuses it.
func ShapeOf(node *yaml.Node) Shape { return measure(node, map[*yaml.Node]Shape{}) }

func measure(node *yaml.Node, known map[*yaml.Node]Shape) Shape {
	if node.Kind == yaml.AliasNode && node.Alias != nil {
		return measure(node.Alias, known)
	}
	if node.Anchor != "" {
		if shape, ok := known[node]; ok {
			return shape
		}
	}
	shape := Shape{Values: 1 + strings.Count(node.Value, "$"), Bytes: Bytes(len(node.Value))}
	if node.Anchor != "" { // only these appear more than once
		known[node] = shape // ends the recursion
	}
	for _, child := range node.Content {
		inner := measure(child, known)
		shape.Values = min(shape.Values+inner.Values, most)
		shape.Bytes = min(shape.Bytes+inner.Bytes, most)
		shape.Depth = max(shape.Depth, inner.Depth)
	}
	if node.Kind == yaml.MappingNode || node.Kind == yaml.SequenceNode {
		shape.Depth++
	}
	if node.Anchor != "" {
		known[node] = shape
	}
	return shape
}

// YAML gives the error about a YAML file that is too large to parse.
func (l Limits) YAML(file string, data []byte) error {
	return Within(fault.Place{File: file}, "yaml_bytes", "the file has", Bytes(len(data)), l.YAMLBytes)
}

// Config gives the error about a config.yml that is too large or too deep to read.
func (l Limits) Config(file string, root *yaml.Node) error {
	shape, err := l.Document(file, root)
	if err != nil {
		return err
	}
	return Within(fault.Place{File: file}, "config_values", "the number of keys and values, with what aliases repeat, is", shape.Values, l.ConfigValues)
}

// Document measures a parsed YAML document, and gives the error about one that is too large
// or too deep to read.
func (l Limits) Document(file string, root *yaml.Node) (Shape, error) {
	shape, place := ShapeOf(root), fault.Place{File: file}
	if err := Within(place, "yaml_depth", "the depth of the mappings and lists is", shape.Depth, l.YAMLDepth); err != nil {
		return shape, err
	}
	if err := Within(place, "yaml_values", "the number of keys, values and variables, with what aliases repeat, is", shape.Values, l.YAMLValues); err != nil {
		return shape, err
	}
	return shape, Within(place, "stack_bytes", "the values, with what aliases repeat, have", shape.Bytes, l.StackBytes)
}

// Interpolation gives the error about a text with too many variables, or with too many
// within each other.
func (l Limits) Interpolation(place fault.Place, text string) error {
	if !strings.Contains(text, "$") {
		return nil
	}
	depth := depthOf(text, func(at int) int {
		switch {
		case text[at] == '}':
			return -1
		case text[at] == '{' && at > 0 && text[at-1] == '$':
			return 1
		}
		return 0
	})
	if err := Within(place, "nesting", "the number of variables within each other is", depth, l.Nesting); err != nil {
		return err
	}
	return Within(place, "variables", "the number of variables in the value is", strings.Count(text, "$"), l.Variables)
}

// Shell gives the error about a file of shell assignments that is too large, or has too
// many brackets within each other. Unlike a parser it does not recurse.
func (l Limits) Shell(place fault.Place, text []byte) error {
	if err := Within(place, "variables_bytes", "the file has", Bytes(len(text)), l.VariablesBytes); err != nil {
		return err
	}
	depth := depthOf(string(text), func(at int) int {
		switch text[at] {
		case '{', '(', '[':
			return 1
		case '}', ')', ']':
			return -1
		}
		return 0
	})
	return Within(place, "brackets", "the number of brackets within each other is", depth, l.Brackets)
}

// depthOf gives the greatest sum of the steps that are given for each byte of a text.
func depthOf(text string, step func(at int) int) int {
	depth, deepest := 0, 0
	for at := range len(text) {
		depth = max(depth+step(at), 0)
		deepest = max(deepest, depth)
	}
	return deepest
}
