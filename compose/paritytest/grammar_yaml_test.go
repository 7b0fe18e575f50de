package paritytest

import (
	"bytes"
	"fmt"
	"maps"
	"strings"

	"go.yaml.in/yaml/v3"
)

// grammar writes the files of a node. Every byte of its input makes one choice. After
// the last byte it makes the simplest choice.
type grammar struct {
	input []byte
	env   map[string]string // the variables in node.env

	made     map[string][]*yaml.Node // earlier values in this compose file, by key
	anchors  int
	defined  map[string][]string // the objects of all compose files, by section
	services []string
}

// pick makes a choice from n.
func (g *grammar) pick(n int) int {
	if len(g.input) == 0 {
		return 0
	}
	choice := int(g.input[0]) % n
	g.input = g.input[1:]
	return choice
}

// chance is true with a probability in percent.
func (g *grammar) chance(percent int) bool { return g.pick(100) >= 100-percent }

func (g *grammar) one(of ...string) string { return of[g.pick(len(of))] }

// some picks each word with a probability of a quarter, and at least one.
func (g *grammar) some(of ...string) []string {
	var picked []string
	for _, word := range of {
		if g.chance(25) {
			picked = append(picked, word)
		}
	}
	if picked == nil {
		picked = append(picked, g.one(of...))
	}
	return picked
}

// text makes a string in one of YAML's styles, or a variable with this value.
func (g *grammar) text(value string) *yaml.Node { return g.quoted(g.variable(value)) }

// quoted makes a string in one of YAML's styles.
func (g *grammar) quoted(value string) *yaml.Node {
	styles := []yaml.Style{0, yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle, yaml.LiteralStyle, yaml.FoldedStyle}
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Style: styles[g.pick(3)]}
	if strings.Contains(value, "\n") {
		node.Style = styles[g.pick(len(styles))]
	}
	return node
}

// variable replaces a text, or a part of it, by a variable, in a form that docker and
// the Compose specification read equally.
func (g *grammar) variable(value string) string {
	escaped := strings.ReplaceAll(value, "$", "$$")
	if strings.ContainsAny(value, "'\n\\") || g.chance(70) {
		return escaped
	}
	bare := !strings.ContainsAny(value, "$}") // a default without special characters
	switch form := g.pick(8); {
	case form == 0 && bare:
		return "${UNSET-" + value + "}"
	case form == 1 && bare:
		return "${UNSET:-" + value + "}"
	case form == 2 && bare && value != "":
		return "${EMPTY:-" + value + "}"
	case form == 3:
		return escaped + "${EMPTY-x}"
	case form == 4:
		return "${" + g.set(value) + "-x}"
	case form == 5 && value != "":
		return "${" + g.set(value) + ":?must be set}"
	case form == 6:
		return "$" + g.set(value)
	}
	return "${" + g.set(value) + "}"
}

// set returns a variable in node.env that has the value.
func (g *grammar) set(value string) string {
	name := fmt.Sprintf("V%d", len(g.env))
	if g.chance(20) {
		name = fmt.Sprintf("TAG_V%d", len(g.env))
	}
	if strings.HasPrefix(name, "TAG_") && value == "" { // an empty TAG_ counts as unset
		name = "v" + name
	}
	g.env[name] = value
	return name
}

// plain makes an unquoted scalar: a number, a boolean, nothing.
func plain(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: value} }

// cast makes a number or boolean for a key in which docker accepts a variable.
func (g *grammar) cast(value string) *yaml.Node {
	if g.chance(80) {
		return plain(value)
	}
	if written := g.variable(value); strings.Contains(written, "$") {
		return g.quoted(written)
	}
	return plain(value)
}

func (g *grammar) truth() *yaml.Node { return plain(g.one("false", "true")) }

func (g *grammar) list(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Content: items, Style: g.flow()}
}

func (g *grammar) flow() yaml.Style {
	if g.chance(40) {
		return yaml.FlowStyle
	}
	return 0
}

func (g *grammar) texts(values ...string) *yaml.Node {
	var items []*yaml.Node
	for _, value := range values {
		items = append(items, g.text(value))
	}
	return g.list(items...)
}

// textOrTexts makes a single string, or a list.
func (g *grammar) textOrTexts(values ...string) *yaml.Node {
	if len(values) == 1 && g.chance(50) {
		return g.text(values[0])
	}
	return g.texts(values...)
}

// part is an optional key of a mapping, with its probability in percent.
type part struct {
	key     string
	percent int
	make    func(g *grammar) *yaml.Node
}

// mapping makes a mapping from the parts.
func (g *grammar) mapping(parts []part) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode, Style: g.flow()}
	for _, one := range parts {
		if g.chance(one.percent) {
			add(node, one.key, g.reused(one))
		}
	}
	return node
}

func add(node *yaml.Node, key string, value *yaml.Node) {
	node.Content = append(node.Content, plain(key), value)
	if value.Style&yaml.FlowStyle == 0 && value.Kind != yaml.ScalarNode {
		node.Style &^= yaml.FlowStyle
	}
}

// reused makes the value of a key, or a reference to an earlier value in this file,
// either unchanged or merged with more keys.
func (g *grammar) reused(one part) *yaml.Node {
	earlier := g.made[one.key]
	if len(earlier) == 0 || g.chance(85) {
		node := one.make(g)
		g.made[one.key] = append(earlier, node)
		return node
	}
	alias := g.alias(earlier[g.pick(len(earlier))])
	if alias.Alias.Kind != yaml.MappingNode || g.chance(40) {
		return alias
	}
	made := maps.Clone(g.made)
	own := one.make(g)
	if own.Kind != yaml.MappingNode {
		g.made = made // the value is not in the file
		return alias
	}
	own.Content = append([]*yaml.Node{merge(), alias}, own.Content...)
	return own
}

func merge() *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!merge", Value: "<<"} }

func (g *grammar) alias(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Anchor == "" {
		g.anchors++
		node.Anchor = fmt.Sprintf("a%d", g.anchors)
	}
	return &yaml.Node{Kind: yaml.AliasNode, Value: node.Anchor, Alias: node}
}

// listOrDict makes a mapping, or the same as a list of NAME=value.
func (g *grammar) listOrDict(names []string, value func(name string) *yaml.Node) *yaml.Node {
	asList := g.chance(40)
	node := &yaml.Node{Kind: yaml.MappingNode, Style: g.flow()}
	if asList {
		node.Kind = yaml.SequenceNode
	}
	for _, name := range names {
		one := value(name)
		switch {
		case !asList:
			node.Content = append(node.Content, plain(name), one)
		case one.Tag == "" && one.Value == "null":
			node.Content = append(node.Content, g.quoted(name))
		default:
			node.Content = append(node.Content, g.quoted(name+"="+one.Value))
		}
	}
	return node
}

func encode(node *yaml.Node) string {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		panic(err) // the grammar makes valid YAML
	}
	return out.String()
}
