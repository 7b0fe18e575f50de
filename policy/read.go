package policy

import (
	"encoding"
	"errors"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

func placeIn(file string, value *yaml.Node) fault.Place {
	return fault.Place{File: file, Line: value.Line, Column: value.Column}
}

// eachItem calls read with each item of a list of texts.
func eachItem(file, rule string, value *yaml.Node, read func(*yaml.Node) error) error {
	if value.Kind != yaml.SequenceNode {
		return fault.New(placeIn(file, value), "write a list, such as [a, b]; [] allows none", "policy.%s is not a list", rule)
	}
	var faults []error
	for _, item := range value.Content {
		if item.Kind != yaml.ScalarNode || item.Value == "" {
			faults = append(faults, fault.New(placeIn(file, item), "write one text", "an item of policy.%s is not a text", rule))
			continue
		}
		faults = append(faults, read(item))
	}
	return errors.Join(faults...)
}

// eachKey calls read with each key of a mapping and its value. A key that is set twice is an
// error.
func eachKey(file, rule string, value *yaml.Node, read func(key, value *yaml.Node) error) error {
	if value.Kind != yaml.MappingNode {
		return fault.New(placeIn(file, value), "write one `name: value` a line below it", "policy.%s is not a mapping", rule)
	}
	var faults []error
	seen := map[string]bool{}
	for i := 0; i+1 < len(value.Content); i += 2 {
		key := value.Content[i]
		if seen[key.Value] {
			faults = append(faults, fault.New(placeIn(file, key), "keep one of them", "policy.%s is set twice", below(rule, key.Value)))
			continue
		}
		seen[key.Value] = true
		faults = append(faults, read(key, value.Content[i+1]))
	}
	return errors.Join(faults...)
}

// eachKnown calls the reader of each key of a mapping. Other keys are errors.
func eachKnown(file, rule string, value *yaml.Node, known map[string]func(*yaml.Node) error) error {
	return eachKey(file, rule, value, func(key, value *yaml.Node) error {
		read, ok := known[key.Value]
		if !ok {
			return fault.New(placeIn(file, key), "its keys are "+strings.Join(slices.Sorted(maps.Keys(known)), ", "), "unknown key policy.%s", below(rule, key.Value))
		}
		return read(value)
	})
}

// below names a key of a rule; a rule itself is below "".
func below(rule, key string) string { return strings.TrimPrefix(rule+"."+key, ".") }

// patternsInto reads a list of patterns.
func patternsInto(file, rule string, into *Patterns) func(*yaml.Node) error {
	return func(value *yaml.Node) (err error) {
		*into, err = readPatterns(file, rule, value)
		return err
	}
}

// readBool reads true or false.
func readBool(file, rule string, value *yaml.Node, into *bool) error {
	if err := value.Decode(into); err != nil || value.Kind != yaml.ScalarNode {
		return fault.New(placeIn(file, value), "write true or false", "policy.%s is neither true nor false", rule)
	}
	return nil
}

// readTexts reads a list of texts into values.
func readTexts[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](file, rule string, value *yaml.Node) ([]T, error) {
	all := []T{}
	err := eachItem(file, rule, value, func(item *yaml.Node) error {
		var one T
		err := readText(file, item, P(&one))
		all = append(all, one)
		return err
	})
	return all, err
}

// readText reads a text into a value.
func readText(file string, value *yaml.Node, into encoding.TextUnmarshaler) error {
	err := errors.New("it is not a text")
	if value.Kind == yaml.ScalarNode {
		err = into.UnmarshalText([]byte(value.Value))
	}
	if err != nil {
		return fault.New(placeIn(file, value), fault.Hint(err), "%w", err)
	}
	return nil
}
