package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/durations"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

// decoder fills a Config from YAML, strictly, and records the place of each key.
type decoder struct {
	file   string
	limits limits.Limits
	faults faults
	places map[string]fault.Place
	merged map[*yaml.Node][]pair // mappings with resolved merge keys
}

// pair is one key of a mapping and its value.
type pair struct{ key, value *yaml.Node }

func decodeConfig(file string, data []byte, limits limits.Limits) (*Config, faults) {
	d := &decoder{file: file, limits: limits, places: map[string]fault.Place{}, merged: map[*yaml.Node][]pair{}}
	config := new(defaultConfig())
	config.file, config.places = file, d.places
	v := reflect.ValueOf(config).Elem()
	if root := d.parse(data); root != nil {
		d.mapping(root, "", v)
	}
	return config, d.faults
}

// parse returns the root of the only document in data. It returns nil after a fault.
func (d *decoder) parse(data []byte) *yaml.Node {
	if err := d.limits.YAML(d.file, data); err != nil {
		d.faults = append(d.faults, err)
		return nil
	}
	reader := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	switch err := reader.Decode(&document); {
	case errors.Is(err, io.EOF):
		d.faults.add(fault.Place{File: d.file, Line: 1, Column: 1}, "add at least the keys environment and nodes", "the file is empty")
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}
	switch err := reader.Decode(&second); {
	case err == nil:
		d.faults.add(d.place(&second), "keep one document and remove the line ---", "the file has a second YAML document")
	case !errors.Is(err, io.EOF):
		d.syntax(err)
	}
	if len(document.Content) == 0 {
		return nil
	}
	if err := d.limits.Config(d.file, document.Content[0]); err != nil {
		d.faults = append(d.faults, err)
		return nil
	}
	return document.Content[0]
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (d *decoder) syntax(err error) {
	place := fault.Place{File: d.file}
	if match := yamlLine.FindStringSubmatch(err.Error()); match != nil && match[1] != "" {
		place.Line, _ = strconv.Atoi(match[1]) // the pattern admits digits only
	}
	d.faults.add(place, "check the indentation and the quotes around this line", "malformed YAML: %s", yamlLine.ReplaceAllString(err.Error(), ""))
}

func (d *decoder) place(node *yaml.Node) fault.Place {
	return fault.Place{File: d.file, Line: node.Line, Column: node.Column}
}

// value decodes one node into v; tag is that of the field it belongs to.
func (d *decoder) value(node *yaml.Node, key string, v reflect.Value, tag reflect.StructTag) {
	node = target(node)
	d.places[key] = d.place(node)
	switch v.Kind() { //nolint:exhaustive // the other kinds are scalars
	case reflect.Struct:
		d.mapping(node, key, v)
	case reflect.Slice:
		d.list(node, key, v, tag)
	case reflect.Map:
		d.named(node, key, v)
	default:
		d.scalar(node, key, v, tag)
	}
}

func (d *decoder) mapping(node *yaml.Node, key string, v reflect.Value) {
	node = target(node)
	if node.Kind != yaml.MappingNode {
		d.mismatch(node, key, "a mapping of keys and values")
		return
	}
	fields, names := fieldsOf(v.Type())
	seen := map[string]bool{}
	for _, p := range d.pairs(node) {
		name := p.key.Value
		i, known := fields[name]
		if !known {
			d.faults.add(d.place(p.key), oneOf(name, names), "unknown key %q%s", name, within(key))
			continue
		}
		seen[name] = true
		d.value(p.value, join(key, name), v.Field(i), v.Type().Field(i).Tag)
	}
	for _, name := range names {
		field := v.Type().Field(fields[name])
		if field.Tag.Get("required") != "" && !seen[name] {
			d.faults.add(d.place(node), fmt.Sprintf("add %s: %s", name, field.Tag.Get("doc")), "required key %q is missing%s", name, within(key))
		}
	}
}

func (d *decoder) list(node *yaml.Node, key string, v reflect.Value, tag reflect.StructTag) {
	if node.Kind == yaml.ScalarNode && tag.Get("single") != "" {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(node, key, element, tag)
		v.Set(reflect.Append(v, element))
		return
	}
	if node.Kind != yaml.SequenceNode {
		d.mismatch(node, key, "a list")
		return
	}
	for i, item := range node.Content {
		element := reflect.New(v.Type().Elem()).Elem()
		if element.Kind() == reflect.Struct {
			setDefaults(element)
		}
		d.value(item, fmt.Sprintf("%s[%d]", key, i), element, tag)
		v.Set(reflect.Append(v, element))
	}
}

// named decodes a mapping with arbitrary keys.
func (d *decoder) named(node *yaml.Node, key string, v reflect.Value) {
	if node.Kind != yaml.MappingNode {
		d.mismatch(node, key, "a mapping of names to values")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range d.pairs(node) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(p.value, join(key, p.key.Value), element, "")
		v.SetMapIndex(reflect.ValueOf(p.key.Value), element)
	}
}

func (d *decoder) scalar(node *yaml.Node, key string, v reflect.Value, tag reflect.StructTag) {
	want := wanted(v.Type(), tag)
	if node.Kind == yaml.ScalarNode && textTag(node, tag) == want.yamlTag && want.set(v, node.Value) {
		return
	}
	hint := ""
	if enum := tag.Get("enum"); enum != "" && node.Kind == yaml.ScalarNode {
		hint = oneOf(node.Value, strings.Split(enum, "|"))
	}
	d.mismatchHint(node, key, want.text, hint)
}

// textTag returns the node's tag. It treats a time as a text if the field is a time or a day.
func textTag(node *yaml.Node, tag reflect.StructTag) string {
	if kind := node.ShortTag(); kind != "!!timestamp" || tag.Get("format") != "time" && tag.Get("format") != "date" {
		return kind
	}
	return "!!str"
}

func (d *decoder) mismatch(node *yaml.Node, key, want string) { d.mismatchHint(node, key, want, "") }

func (d *decoder) mismatchHint(node *yaml.Node, key, want, hint string) {
	if hint == "" {
		hint = "write " + want
	}
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" {
		hint += ", or remove the key"
	}
	subject := key
	if subject == "" {
		subject = "the file"
	}
	d.faults.add(d.place(node), hint, "%s: want %s, got %s", subject, want, describe(node))
}

// want describes the values that a scalar key accepts.
type want struct {
	text    string
	yamlTag string
	read    func(text string) (value any, ok bool)
}

// set stores a text in v, and reports whether it is accepted.
func (w want) set(v reflect.Value, text string) bool {
	value, ok := w.read(text)
	if ok {
		v.Set(reflect.ValueOf(value).Convert(v.Type()))
	}
	return ok
}

func wanted(t reflect.Type, tag reflect.StructTag) want {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return want{"a duration such as 300s", "!!str", func(text string) (any, bool) {
			duration, err := durations.Parse(strings.TrimPrefix(text, "+"))
			return duration, err == nil && duration > 0
		}}
	case t.Kind() == reflect.Bool:
		return want{"true or false", "!!bool", func(text string) (any, bool) {
			text = strings.ToLower(text)
			return text == "true", text == "true" || text == "false"
		}}
	case t.Kind() == reflect.Int:
		low, high := bounds(tag)
		return want{rangeText(low, high), "!!int", func(text string) (any, bool) {
			n, err := strconv.Atoi(text)
			return n, err == nil && n >= low && n <= high
		}}
	case tag.Get("enum") != "":
		values := strings.Split(tag.Get("enum"), "|")
		return want{"one of " + strings.Join(values, ", "), "!!str", func(text string) (any, bool) { return text, slices.Contains(values, text) }}
	}
	rule := formats[tag.Get("format")]
	return want{rule.want, "!!str", func(text string) (any, bool) { return text, rule.matches(text) }}
}

// defaultConfig gives a config that sets no key.
var defaultConfig = sync.OnceValue(func() (config Config) {
	setDefaults(reflect.ValueOf(&config).Elem())
	return config
})

// setDefaults sets the defaults of a struct and of its nested structs.
func setDefaults(v reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if text, ok := field.Tag.Lookup("default"); ok {
			wanted(field.Type, field.Tag).set(v.Field(i), text)
		}
		if field.IsExported() && field.Type.Kind() == reflect.Struct {
			setDefaults(v.Field(i))
		}
	}
}
