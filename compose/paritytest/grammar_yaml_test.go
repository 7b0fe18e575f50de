package paritytest

import (
	"bytes"
	"fmt"
	"maps"
	"strings"

	"go.yaml.in/yaml/v3"
)

// grammar writes the files of a node. Every byte of its input settles one choice;
// where the bytes end, the plainest is taken.
type grammar struct {
	input []byte
	env   map[string]string // what node.env sets

	made     map[string][]*yaml.Node // what this compose file has so far, by key
	anchors  int
	defined  map[string][]string // the objects of all compose files, by section
	services []string
}

// pick settles a choice between n.
func (g *grammar) pick(n int) int {
	if len(g.input) == 0 {
		return 0
	}
	choice := int(g.input[0]) % n
	g.input = g.input[1:]
	return choice
}

// chance is true in so many of a hundred cases.
func (g *grammar) chance(percent int) bool { return g.pick(100) >= 100-percent }

func (g *grammar) one(of ...string) string { return of[g.pick(len(of))] }

// some picks each of the words in a quarter of the cases, and one at least.
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

// text is a string in one of YAML's styles. A variable may stand for it.
func (g *grammar) text(value string) *yaml.Node { return g.quoted(g.variable(value)) }

// quoted is a string as it is, in one of YAML's styles.
func (g *grammar) quoted(value string) *yaml.Node {
	styles := []yaml.Style{0, yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle, yaml.LiteralStyle, yaml.FoldedStyle}
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Style: styles[g.pick(3)]}
	if strings.Contains(value, "\n") {
		node.Style = styles[g.pick(len(styles))]
	}
	return node
}

// variable writes a text with a variable for it or for a part of it, in the forms
// in which docker and the Compose specification agree.
func (g *grammar) variable(value string) string {
	escaped := strings.ReplaceAll(value, "$", "$$")
	if strings.ContainsAny(value, "'\n\\") || g.chance(70) {
		return escaped
	}
	bare := !strings.ContainsAny(value, "$}") // a default that means itself
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

// set gives a variable of node.env that has the value.
func (g *grammar) set(value string) string {
	name := fmt.Sprintf("V%d", len(g.env))
	if g.chance(20) {
		name = fmt.Sprintf("TAG_V%d", len(g.env))
	}
	if strings.HasPrefix(name, "TAG_") && value == "" { // it would count as unset
		name = "v" + name
	}
	g.env[name] = value
	return name
}

// plain is a scalar as YAML reads it: a number, a boolean, nothing.
func plain(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: value} }

// cast is a number or boolean at a place where docker takes a variable for it.
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

// textOrTexts is a single string, or a list.
func (g *grammar) textOrTexts(values ...string) *yaml.Node {
	if len(values) == 1 && g.chance(50) {
		return g.text(values[0])
	}
	return g.texts(values...)
}

// part is a key that a mapping may have, in so many of a hundred cases.
type part struct {
	key     string
	percent int
	make    func(g *grammar) *yaml.Node
}

// mapping makes one of the parts, and of those that it must have.
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

// reused makes the value of a key, or refers to one that this file has already:
// as it is, or merged with keys of its own.
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
		g.made = made // what is in it is not in the file
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

// listOrDict is a mapping, or a list of the same as NAME=value.
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
		panic(err) // the grammar makes YAML
	}
	return out.String()
}
