package jsonschema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// Schema is a compiled schema, or a part of one.
type Schema struct {
	types      types
	ref        *Schema
	properties []member // sorted by name
	*rare               // nil for most
}

// rare is what few schemas have.
type rare struct {
	patterns         []pattern
	closed           bool    // no additional properties
	additional       *Schema // of additional properties
	unevaluated      bool    // no properties that no part of the schema describes
	required         []string
	items            *Schema
	unique           bool
	allOf            []*Schema
	anyOf            []*Schema
	oneOf            []*Schema
	enum             []any
	format           *Format
	pattern          *regexp.Regexp
	minimum, maximum *big.Rat
}

// most is the rare part of the other schemas.
var most = &rare{}

type member struct {
	name   string
	schema *Schema
}

type pattern struct {
	name   *regexp.Regexp
	schema *Schema
}

// Compiler compiles schemas.
type Compiler struct {
	documents map[string]any
	formats   map[string]*Format

	root  any
	refs  map[string]*Schema
	plain map[types]*Schema // those that say only which types a value may have
}

// NewCompiler gives a compiler without schemas.
func NewCompiler() *Compiler {
	return &Compiler{documents: map[string]any{}, formats: map[string]*Format{}}
}

// AddResource adds a schema under a name.
func (c *Compiler) AddResource(name string, document any) error {
	c.documents[name] = document
	return nil
}

// RegisterFormat adds a format.
func (c *Compiler) RegisterFormat(format *Format) { c.formats[format.Name] = format }

// Compile compiles a schema by its name. References name places in it.
func (c *Compiler) Compile(name string) (*Schema, error) {
	root, known := c.documents[name]
	if !known {
		return nil, fmt.Errorf("the schema %s is not known", name)
	}
	c.root, c.refs, c.plain = root, map[string]*Schema{}, map[types]*Schema{}
	return c.schema(root)
}

func (c *Compiler) schema(value any) (*Schema, error) {
	keywords, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a schema is a %T", value)
	}
	s := &Schema{rare: &rare{}}
	said := false // more than types
	for _, keyword := range slices.Sorted(maps.Keys(keywords)) {
		if slices.Contains(silent, keyword) {
			continue
		}
		if err := c.keyword(s, keyword, keywords[keyword]); err != nil {
			return nil, fmt.Errorf("%s: %w", keyword, err)
		}
		said = said || keyword != "type"
	}
	if s.rare.none() {
		s.rare = most
	}
	if said {
		return s, nil
	}
	if c.plain[s.types] == nil {
		c.plain[s.types] = s
	}
	return c.plain[s.types], nil
}

// none reports whether the schema says nothing rare.
func (r *rare) none() bool {
	return len(r.patterns)+len(r.required)+len(r.allOf)+len(r.anyOf)+len(r.oneOf)+len(r.enum) == 0 &&
		!r.closed && !r.unevaluated && !r.unique && r.additional == nil && r.items == nil && r.format == nil && r.pattern == nil &&
		r.minimum == nil && r.maximum == nil
}

// reference gives the schema at a place such as #/$defs/service.
func (c *Compiler) reference(ref string) (*Schema, error) {
	if known := c.refs[ref]; known != nil {
		return known, nil
	}
	target := &Schema{rare: most}
	c.refs[ref] = target // before it is compiled: it may refer to itself
	place, local := strings.CutPrefix(ref, "#/")
	if !local {
		return nil, fmt.Errorf("%s: not implemented", ref)
	}
	value := c.root
	for _, name := range strings.Split(place, "/") { // tests compile this as Go 1.21, the version of the original
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

// silent are the keywords that judge nothing.
var silent = []string{"$schema", "$id", "$defs", "title", "description", "default", "deprecated", "$comment", "examples"}

// keyword adds one keyword to a schema.
func (c *Compiler) keyword(s *Schema, keyword string, value any) (err error) {
	switch keyword {
	case "type":
		s.types, err = typesOf(value)
	case "$ref":
		var ref string
		if ref, err = as[string](value); err == nil {
			s.ref, err = c.reference(ref)
		}
	case "properties":
		s.properties, err = c.members(value)
	case "patternProperties":
		s.patterns, err = c.patterns(value)
	case "items":
		s.items, err = c.schema(value)
	case "allOf":
		s.allOf, err = c.list(value)
	case "anyOf":
		s.anyOf, err = c.list(value)
	case "oneOf":
		s.oneOf, err = c.list(value)
	case "additionalProperties":
		if allowed, ok := value.(bool); ok {
			s.closed = !allowed
			if allowed {
				s.additional = &Schema{rare: most}
			}
			return nil
		}
		s.additional, err = c.schema(value)
	case "unevaluatedProperties":
		allowed, err := as[bool](value)
		s.unevaluated = !allowed
		return err
	default:
		return c.values(s, keyword, value)
	}
	return err
}

// values adds a keyword that judges a value without those below it.
func (c *Compiler) values(s *Schema, keyword string, value any) (err error) {
	switch keyword {
	case "required":
		s.required, err = texts(value)
	case "enum":
		if s.enum, err = as[[]any](value); err == nil {
			_, err = texts(value) // other values are not implemented
		}
	case "uniqueItems":
		s.unique, err = as[bool](value)
	case "minimum":
		s.minimum, err = number(value)
	case "maximum":
		s.maximum, err = number(value)
	case "pattern":
		var text string
		if text, err = as[string](value); err == nil {
			s.pattern, err = regexp.Compile(text)
		}
	case "format":
		var name string
		if name, err = as[string](value); err == nil {
			if s.format = c.formats[name]; s.format == nil {
				err = fmt.Errorf("the format %s is not implemented", name)
			}
		}
	default:
		return fmt.Errorf("the keyword is not implemented")
	}
	return err
}

func (c *Compiler) list(value any) (schemas []*Schema, err error) {
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
func (c *Compiler) members(value any) (members []member, err error) {
	values, err := as[map[string]any](value)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s, failed := c.schema(values[name])
		if failed != nil {
			return nil, fmt.Errorf("%s: %w", name, failed)
		}
		members = append(members, member{name, s})
	}
	return slices.Clip(members), err
}

func (c *Compiler) patterns(value any) (patterns []pattern, err error) {
	members, err := c.members(value)
	for _, m := range members {
		name, failed := regexp.Compile(m.name)
		if failed != nil {
			return nil, failed
		}
		patterns = append(patterns, pattern{name, m.schema})
	}
	return patterns, err
}

// texts gives a list of texts.
func texts(value any) (list []string, err error) {
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

func number(value any) (*big.Rat, error) {
	written, err := as[json.Number](value)
	if err != nil {
		return nil, err
	}
	found, ok := new(big.Rat).SetString(string(written))
	if !ok {
		return nil, fmt.Errorf("%s is not a number", written)
	}
	return found, nil
}

func as[T any](value any) (T, error) {
	typed, ok := value.(T)
	if !ok {
		return typed, fmt.Errorf("a %T is not implemented", value)
	}
	return typed, nil
}
