package gojsonschema

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// schema is a compiled JSON schema, or a part of one.
type schema struct {
	ref        *schema // replaces everything else
	types      []string
	properties []member
	patterns   []pattern
	closed     bool    // no additional properties
	additional *schema // of additional properties
	required   []string
	items      *schema
	unique     bool
	oneOf      []*schema
	anyOf      []*schema
	enum       []string
	format     string
	minimum    *big.Rat
}

type member struct {
	name   string
	schema *schema
}

type pattern struct {
	key    *regexp.Regexp
	schema *schema
}

// has reports whether the schema describes a property of this name.
func (s *schema) has(name string) bool {
	_, found := slices.BinarySearchFunc(s.properties, name, func(m member, name string) int { return cmp.Compare(m.name, name) })
	return found
}

// compiler compiles the parts of one schema. References name places in it.
type compiler struct {
	root any
	refs map[string]*schema
}

// compile compiles the text of a schema.
func compile(text string) (*schema, error) {
	var root any
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		return nil, err
	}
	c := &compiler{root: root, refs: map[string]*schema{}}
	return c.schema(root)
}

func (c *compiler) schema(value any) (*schema, error) {
	keywords, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a schema is a %T", value)
	}
	s := &schema{}
	if ref, ok := keywords["$ref"].(string); ok {
		target, err := c.reference(ref)
		s.ref = target
		return s, err
	}
	for _, keyword := range slices.Sorted(maps.Keys(keywords)) {
		if err := c.keyword(s, keyword, keywords[keyword]); err != nil {
			return nil, fmt.Errorf("%s: %w", keyword, err)
		}
	}
	return s, nil
}

// reference gives the schema at a place such as #/definitions/service.
func (c *compiler) reference(ref string) (*schema, error) {
	if known := c.refs[ref]; known != nil {
		return known, nil
	}
	target := &schema{}
	c.refs[ref] = target // before it is compiled: it may refer to itself
	value := c.root
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		parts, _ := value.(map[string]any)
		value = parts[name]
	}
	compiled, err := c.schema(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	*target = *compiled
	return target, nil
}

// keyword adds one keyword to a schema.
func (c *compiler) keyword(s *schema, keyword string, value any) (err error) {
	switch keyword {
	case "$schema", "id", "title", "description", "default", "definitions":
		return nil
	case "type":
		s.types, err = texts(value)
	case "required":
		s.required, err = texts(value)
	case "enum":
		s.enum, err = texts(value)
	case "format":
		s.format, err = as[string](value)
	case "uniqueItems":
		s.unique, err = as[bool](value)
	case "minimum":
		var number float64
		number, err = as[float64](value)
		s.minimum = new(big.Rat).SetFloat64(number)
	case "items":
		s.items, err = c.schema(value)
	case "oneOf":
		s.oneOf, err = c.list(value)
	case "anyOf":
		s.anyOf, err = c.list(value)
	case "properties":
		s.properties, err = c.members(value)
	case "patternProperties":
		s.patterns, err = c.patterns(value)
	case "additionalProperties":
		if allowed, ok := value.(bool); ok {
			s.closed = !allowed
			return nil
		}
		s.additional, err = c.schema(value)
	default:
		return fmt.Errorf("the keyword is not implemented")
	}
	return err
}

func (c *compiler) list(value any) (schemas []*schema, err error) {
	values, err := as[[]any](value)
	for _, one := range values {
		s, failed := c.schema(one)
		if failed != nil {
			return nil, failed
		}
		schemas = append(schemas, s)
	}
	return schemas, err
}

// members compiles schemas with names, sorted.
func (c *compiler) members(value any) (members []member, err error) {
	values, err := as[map[string]any](value)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s, failed := c.schema(values[name])
		if failed != nil {
			return nil, fmt.Errorf("%s: %w", name, failed)
		}
		members = append(members, member{name, s})
	}
	return members, err
}

func (c *compiler) patterns(value any) (patterns []pattern, err error) {
	members, err := c.members(value)
	for _, m := range members {
		key, failed := regexp.Compile(m.name)
		if failed != nil {
			return nil, failed
		}
		patterns = append(patterns, pattern{key, m.schema})
	}
	return patterns, err
}

// texts gives a text or a list of texts as a list.
func texts(value any) (list []string, err error) {
	if text, ok := value.(string); ok {
		return []string{text}, nil
	}
	values, err := as[[]any](value)
	for _, one := range values {
		text, failed := as[string](one)
		if failed != nil {
			return nil, failed
		}
		list = append(list, text)
	}
	return list, err
}

func as[T any](value any) (T, error) {
	typed, ok := value.(T)
	if !ok {
		return typed, fmt.Errorf("a %T is not implemented", value)
	}
	return typed, nil
}

// expected gives the types of a schema as the original writes them.
func (s *schema) expected() string {
	if len(s.types) == 1 {
		return s.types[0]
	}
	return "[" + strings.Join(s.types, ",") + "]"
}

// allowed gives the values of an enumeration as JSON.
func (s *schema) allowed() string {
	quoted := make([]string, 0, len(s.enum))
	for _, one := range s.enum {
		quoted = append(quoted, strconv.Quote(one))
	}
	return strings.Join(quoted, ", ")
}
