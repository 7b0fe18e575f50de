package manifests

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// longestKey is how many bytes a key has, such as the name of a role.
const longestKey = 256

// pairs lists a mapping's own keys, then those of its merge keys (<<). It resolves
// each mapping once, so that nested anchors stay cheap.
func (d *decoder) pairs(node *yaml.Node) []pair {
	if known, ok := d.merged[node]; ok {
		return known
	}
	d.merged[node] = nil // ends the recursion of an anchor that merges itself
	var own []pair
	var merges []*yaml.Node
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := target(node.Content[i]), node.Content[i+1]
		switch before := first[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			d.faults.add(d.place(key), "write a text as the key", "a key is %s", describe(key))
		case len(key.Value) > longestKey: // what is below it would be named by it
			d.faults.add(d.place(key), "use a shorter name", "a key has more than %d bytes", longestKey)
		case key.ShortTag() == "!!merge":
			merges = append(merges, value)
		case before != nil:
			d.faults.add(d.place(key), "keep one of the two", "key %q is set twice, first on line %d", key.Value, before.Line)
		default:
			first[key.Value] = key
			own = append(own, pair{key, value})
		}
	}
	for _, value := range merges {
		for _, p := range d.mergedPairs(value) {
			if first[p.key.Value] == nil {
				first[p.key.Value] = p.key
				own = append(own, p)
			}
		}
	}
	d.merged[node] = own
	return own
}

// mergedPairs lists the keys of a merge key's value, which is a mapping or a list
// of mappings.
func (d *decoder) mergedPairs(value *yaml.Node) []pair {
	value = target(value)
	if value.Kind == yaml.MappingNode {
		return d.pairs(value)
	}
	if value.Kind != yaml.SequenceNode {
		d.mismatch(value, "<<", "a mapping or a list of mappings, such as *defaults")
	}
	var all []pair
	for _, item := range value.Content {
		if item = target(item); item.Kind == yaml.MappingNode {
			all = append(all, d.pairs(item)...)
			continue
		}
		d.mismatch(item, "<<", "a mapping, such as *defaults")
	}
	return all
}

// target follows an alias to its node.
func target(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode && node.Alias != nil {
		return node.Alias
	}
	return node
}

// fieldsOf maps the keys of a section to its fields, and lists the keys in order.
func fieldsOf(t reflect.Type) (fields map[string]int, names []string) {
	fields = map[string]int{}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" {
			fields[name] = i
			names = append(names, name)
		}
	}
	return fields, names
}

// bounds returns the smallest and the largest number that a field's tags allow.
func bounds(tag reflect.StructTag) (low, high int) {
	low, _ = strconv.Atoi(tag.Get("min")) // 0 without the tag
	high, _ = strconv.Atoi(tag.Get("max"))
	return low, cmp.Or(high, math.MaxInt32)
}

func rangeText(low, high int) string {
	if high == math.MaxInt32 {
		return fmt.Sprintf("a whole number of at least %d", low)
	}
	return fmt.Sprintf("a whole number from %d to %d", low, high)
}

func join(key, name string) string {
	return strings.TrimPrefix(key+"."+name, ".")
}

func within(key string) string {
	if key == "" {
		return ""
	}
	return " in " + key
}

// describe returns the value in the file, cut to a readable length.
func describe(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.ShortTag() == "!!null":
		return "nothing"
	}
	text := []rune(node.Value)
	if len(text) > 40 {
		text = append(text[:40], '…')
	}
	if node.ShortTag() == "!!str" {
		return strconv.Quote(string(text))
	}
	return string(text)
}
