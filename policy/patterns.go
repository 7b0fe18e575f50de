package policy

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// Patterns are texts in which * stands for any characters. Nil patterns are not set.
type Patterns []string

// IsZero reports whether the rule is not set.
func (p Patterns) IsZero() bool { return p == nil }

// MarshalYAML writes a short list on one line.
func (p Patterns) MarshalYAML() (any, error) {
	var node yaml.Node
	if err := node.Encode([]string(p)); err != nil {
		return nil, err
	}
	if len(strings.Join(p, ", ")) < shortList {
		node.Style = yaml.FlowStyle
	}
	return &node, nil
}

// shortList is the length of a list that fits on a line.
const shortList = 80

// Match reports whether one of the patterns matches the text.
func (p Patterns) Match(text string) bool {
	return slices.ContainsFunc(p, func(pattern string) bool { return glob(pattern, text) })
}

// glob reports whether a pattern matches the whole text.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return pattern == text
	}
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	rest := text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return true
}

// PerService are patterns by the names of services in the compose files, which are patterns
// as well. A nil map is not set.
type PerService map[string]Patterns

// IsZero reports whether the rule is not set.
func (p PerService) IsZero() bool { return p == nil }

// Of gives what the rule says of a service, sorted.
func (p PerService) Of(service string) Patterns {
	var all Patterns
	for _, pattern := range slices.Sorted(maps.Keys(p)) {
		if glob(pattern, service) {
			all = append(all, p[pattern]...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// add gives the rule with one more text.
func (p PerService) add(key, text string) PerService {
	if p == nil {
		p = PerService{}
	}
	p[key] = sorted(append(p[key], text))
	return p
}

// sorted gives texts in order, each once.
func sorted[T ~[]string](texts T) T {
	texts = slices.Clone(texts)
	slices.Sort(texts)
	return slices.Compact(texts)
}

// patterns makes the section of a rule that is a list of patterns.
func patterns(rule string, of func(*Policy) *Patterns) section {
	return func(p *Policy, file string, value *yaml.Node) error {
		return patternsInto(file, rule, of(p))(value)
	}
}

// perService makes the section of a rule that is a list for each service.
func perService(rule string, of func(*Policy) *PerService) section {
	return func(p *Policy, file string, value *yaml.Node) error {
		all := PerService{}
		*of(p) = all
		if value.Kind != yaml.MappingNode {
			return fault.New(placeIn(file, value), "write one service a line below `"+rule+":`, such as `web: [...]`; `\"*\"` stands for all services",
				"policy.%s is not a mapping", rule)
		}
		return eachKey(file, rule, value, func(key, value *yaml.Node) (err error) {
			all[key.Value], err = readPatterns(file, rule+"."+key.Value, value)
			return err
		})
	}
}

func readPatterns(file, rule string, value *yaml.Node) (Patterns, error) {
	all := Patterns{}
	err := eachItem(file, rule, value, func(item *yaml.Node) error {
		all = append(all, item.Value)
		return nil
	})
	return all, err
}
