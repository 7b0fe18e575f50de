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
func eachKey(file, rule string, value *yaml.Node, read func(key string, value *yaml.Node) error) error {
	if value.Kind != yaml.MappingNode {
		return fault.New(placeIn(file, value), "write one `name: value` a line below it", "policy.%s is not a mapping", rule)
	}
	var faults []error
	seen := map[string]bool{}
	for i := 0; i+1 < len(value.Content); i += 2 {
		key := value.Content[i]
		if seen[key.Value] {
			faults = append(faults, fault.New(placeIn(file, key), "keep one of them", "policy.%s.%s is set twice", rule, key.Value))
			continue
		}
		seen[key.Value] = true
		faults = append(faults, read(key.Value, value.Content[i+1]))
	}
	return errors.Join(faults...)
}

// eachKnown calls the reader of each key of a mapping. Other keys are errors.
func eachKnown(file, rule string, value *yaml.Node, known map[string]func(*yaml.Node) error) error {
	return eachKey(file, rule, value, func(key string, value *yaml.Node) error {
		read, ok := known[key]
		if !ok {
			return fault.New(placeIn(file, value), "its keys are "+strings.Join(slices.Sorted(maps.Keys(known)), ", "), "unknown key policy.%s.%s", rule, key)
		}
		return read(value)
	})
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
