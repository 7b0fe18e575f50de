package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/durations"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/policy"
)

// Field is one setting, by name.
type Field struct {
	Name, Help string
	value      reflect.Value
}

// Flag gives the setting's name as a command line flag.
func (f Field) Flag() string { return strings.ReplaceAll(f.Name, "_", "-") }

// Env gives the setting's environment variable.
func (f Field) Env() string { return EnvPrefix + strings.ToUpper(f.Name) }

// Default gives the setting's present value as text.
func (f Field) Default() string {
	if list, ok := f.value.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(f.value.Interface())
}

// Kind gives the kind of the setting's value, as a usage text names it.
func (f Field) Kind() string {
	switch f.value.Interface().(type) {
	case []string:
		return "list"
	case bool:
		return "bool"
	case time.Duration:
		return "duration"
	}
	return "string"
}

// Set reads text into the setting; lists are separated by commas.
func (f Field) Set(text string) error {
	switch target := f.value.Addr().Interface().(type) {
	case *string:
		*target = text
	case *[]string:
		*target = nil
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				*target = append(*target, item)
			}
		}
	case *bool:
		value, err := strconv.ParseBool(text)
		if err != nil {
			return fault.New(fault.Place{}, "write true or false", "%q is neither true nor false", text)
		}
		*target = value
	case *time.Duration:
		value, err := durations.Parse(text)
		if err != nil {
			return err
		}
		*target = value
	}
	return nil
}

// Fields lists the settings in the order of their declaration.
func (s *Settings) Fields() []Field {
	var fields []Field
	for about, value := range reflect.ValueOf(s).Elem().Fields() {
		if about.Tag == "" {
			continue // a mapping
		}
		fields = append(fields, Field{Name: about.Tag.Get("name"), Help: about.Tag.Get("help"), value: value})
	}
	return fields
}

// ReadYAML reads settings from the content of a YAML file; name is for messages.
func (s *Settings) ReadYAML(name string, data []byte) error {
	root, err := readRoot(name, data)
	if err != nil || root == nil {
		return err
	}
	known, seen := map[string]Field{}, map[string]bool{}
	for _, field := range s.Fields() {
		known[field.Name] = field
	}
	var faults []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := root.Content[i]
		faults = append(faults, s.readField(name, known, key, root.Content[i+1]))
		if seen[key.Value] {
			faults = append(faults, fault.New(fault.Place{File: name, Line: key.Line, Column: key.Column}, "keep one of them", "%s is set twice", key.Value))
		}
		seen[key.Value] = true
	}
	return errors.Join(faults...)
}

// readRoot reads the mapping of a YAML file; nil of an empty one. What a second document has, such as
// a policy, would not count.
func readRoot(name string, data []byte) (*yaml.Node, error) {
	var document, second yaml.Node
	reader := yaml.NewDecoder(bytes.NewReader(data))
	err := reader.Decode(&document)
	if err == nil {
		err = reader.Decode(&second)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		place, text := fault.Place{File: name}, strings.TrimPrefix(err.Error(), "yaml: ")
		if _, scanErr := fmt.Sscanf(text, "line %d:", &place.Line); scanErr == nil {
			_, text, _ = strings.Cut(text, ": ")
		}
		return nil, fault.New(place, "check the indentation and the quotes around this line", "not valid YAML: %s", text)
	}
	if len(second.Content) > 0 && second.Content[0].ShortTag() != "!!null" {
		return nil, fault.New(fault.Place{File: name, Line: second.Line}, "keep one document and remove the line ---", "the file has a second YAML document")
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fault.New(fault.Place{File: name, Line: root.Line}, "write one `name: value` a line", "the settings are not a mapping")
	}
	return root, nil
}

// readField reads one key: a mapping of its own, or a setting.
func (s *Settings) readField(name string, known map[string]Field, key, value *yaml.Node) error {
	switch key.Value {
	case "policy":
		var err error
		s.Policy, err = policy.Read(name, value)
		return err
	case "api_tokens":
		var err error
		s.APITokens, err = readTokens(name, value)
		return err
	case "limits":
		return limits.Read(name, value, &s.Limits)
	}
	return readSetting(name, known, key, value)
}

func readSetting(name string, known map[string]Field, key, value *yaml.Node) error {
	place := fault.Place{File: name, Line: key.Line, Column: key.Column}
	field, ok := known[key.Value]
	if !ok {
		return fault.New(place, "`agent run --help` lists the settings", "unknown setting %q", key.Value)
	}
	text := value.Value
	if value.Kind == yaml.SequenceNode {
		if field.value.Kind() != reflect.Slice {
			return fault.New(place, "write one value", "%s does not take a list", key.Value)
		}
		items := make([]string, 0, len(value.Content))
		for _, item := range value.Content {
			items = append(items, item.Value)
		}
		text = strings.Join(items, ",")
	} else if value.Kind != yaml.ScalarNode {
		return fault.New(place, "write one value", "%s does not take a mapping", key.Value)
	}
	if err := field.Set(text); err != nil {
		return fault.New(place, fault.Hint(err), "%s: %w", key.Value, err)
	}
	return nil
}
