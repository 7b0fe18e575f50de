package jsonschema

import (
	"maps"
	"math/big"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// asked says how a value is judged.
type asked struct {
	at   []string // its place in the document; values are judged one after the other, and share its array
	left bool     // which of its properties no schema describes
}

// judgement is the judgement of one value by one schema.
type judgement struct {
	asked
	schema *Schema
	undone map[string]struct{} // properties that no part of the schema describes so far; nil if nothing asks for them
	errors []*ValidationError
}

// judge judges a value. Without an error it gives the properties that the schema does not describe, if
// that is asked.
func judge(s *Schema, value any, ask asked) (undone map[string]struct{}, err *ValidationError) {
	j := &judgement{asked: ask, schema: s}
	if of := typeOf(value); of == 0 {
		return nil, j.error(&kind.InvalidJsonValue{Value: value})
	} else if s.types != 0 && s.types&of == 0 && (of != numeric || s.types&integer == 0 || !whole(value)) {
		return nil, j.error(&kind.Type{Got: of.list()[0], Want: s.types.list()})
	}
	if s.enum != nil && !slices.ContainsFunc(s.enum, func(one any) bool { return typeOf(value) == text && one == value }) {
		return nil, j.error(&kind.Enum{Got: value, Want: s.enum})
	}
	if s.format != nil {
		if failed := s.format.Validate(value); failed != nil {
			return nil, j.error(&kind.Format{Got: value, Want: s.format.Name, Err: failed})
		}
	}
	values, isObject := value.(map[string]any)
	if isObject && !s.closed && s.additional == nil && (ask.left || s.unevaluated) {
		j.undone = make(map[string]struct{}, len(values))
		for name := range values {
			j.undone[name] = struct{}{}
		}
	}
	j.reference(value)
	switch v := value.(type) {
	case map[string]any:
		j.object(v)
	case []any:
		j.array(v)
	case string:
		if s.pattern != nil && !s.pattern.MatchString(v) {
			j.add(&kind.Pattern{Got: v, Want: s.pattern.String()})
		}
	default:
		j.number(value)
	}
	j.alternatives(value)
	if isObject && s.unevaluated {
		for _, name := range slices.Sorted(maps.Keys(j.undone)) {
			below := &judgement{asked: j.below(name)}
			j.errors = append(j.errors, below.error(&kind.FalseSchema{}))
		}
		j.undone = nil
	}
	return j.undone, j.result()
}

// result gives the errors as one.
func (j *judgement) result() *ValidationError {
	switch len(j.errors) {
	case 0:
		return nil
	case 1:
		return j.errors[0]
	}
	all := j.error(&kind.Group{})
	all.Causes = j.errors
	return all
}

func (j *judgement) error(is ErrorKind, causes ...*ValidationError) *ValidationError {
	return &ValidationError{InstanceLocation: slices.Clone(j.at), ErrorKind: is, Causes: causes}
}

func (j *judgement) add(is ErrorKind, causes ...*ValidationError) {
	j.errors = append(j.errors, j.error(is, causes...))
}

// below asks for a value below this one.
func (j *judgement) below(name string) asked { return asked{at: append(j.at, name)} }

// member judges a value below this one.
func (j *judgement) member(s *Schema, value any, name string) {
	if _, err := judge(s, value, j.below(name)); err != nil {
		j.errors = append(j.errors, err)
	}
}

// self judges the value by another schema, and takes what that describes.
func (j *judgement) self(s *Schema, value any) *ValidationError {
	undone, err := judge(s, value, asked{at: j.at, left: len(j.undone) > 0})
	if err != nil {
		return err
	}
	for name := range j.undone {
		if _, still := undone[name]; !still {
			delete(j.undone, name)
		}
	}
	return nil
}

func (j *judgement) reference(value any) {
	if j.schema.ref == nil {
		return
	}
	if err := j.self(j.schema.ref, value); err != nil {
		causes := []*ValidationError{err}
		if _, group := err.ErrorKind.(*kind.Group); group {
			causes = err.Causes
		}
		j.add(&kind.Reference{Keyword: "$ref"}, causes...)
	}
}

func (j *judgement) object(values map[string]any) {
	s := j.schema
	var missing, additional []string
	for _, name := range s.required {
		if _, has := values[name]; !has {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		j.add(&kind.Required{Missing: missing})
	}
	if len(s.properties) == 0 && len(s.patterns) == 0 && !s.closed && s.additional == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		described := false
		if own := s.property(name); own != nil {
			described = true
			j.member(own, values[name], name)
		}
		for _, p := range s.patterns {
			if p.name.MatchString(name) {
				described = true
				j.member(p.schema, values[name], name)
			}
		}
		switch {
		case described:
		case s.closed:
			additional = append(additional, name)
		case s.additional != nil:
			j.member(s.additional, values[name], name)
		default:
			continue
		}
		delete(j.undone, name)
	}
	if additional != nil {
		j.add(&kind.AdditionalProperties{Properties: additional})
	}
}

// property gives the schema of a property by its name; nil if there is none.
func (s *Schema) property(name string) *Schema {
	at, found := slices.BinarySearchFunc(s.properties, name, func(m member, name string) int {
		switch {
		case m.name < name:
			return -1
		case m.name > name:
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	return s.properties[at].schema
}

func (j *judgement) array(values []any) {
	if j.schema.unique {
		if first, second, found := twice(values); found {
			j.add(&kind.UniqueItems{Duplicates: [2]int{first, second}})
		}
	}
	if j.schema.items == nil {
		return
	}
	for i, value := range values {
		j.member(j.schema.items, value, strconv.Itoa(i))
	}
}

func (j *judgement) number(value any) {
	s := j.schema
	if s.minimum == nil && s.maximum == nil || typeOf(value) != numeric {
		return
	}
	number := rational(value)
	exceeds := func(limit *big.Rat, sign int) bool { return limit != nil && number != nil && number.Cmp(limit) == sign }
	if exceeds(s.minimum, -1) {
		j.add(&kind.Minimum{Got: number, Want: s.minimum})
	}
	if exceeds(s.maximum, 1) {
		j.add(&kind.Maximum{Got: number, Want: s.maximum})
	}
}

// alternatives judges the value by the schemas of allOf, anyOf and oneOf.
func (j *judgement) alternatives(value any) {
	s := j.schema
	var failed []*ValidationError
	for _, one := range s.allOf {
		if err := j.self(one, value); err != nil {
			failed = append(failed, err)
		}
	}
	if failed != nil {
		j.add(&kind.AllOf{}, failed...)
	}
	j.any(value)
	failed = nil
	matched := -1
	for i, one := range s.oneOf {
		switch err := j.self(one, value); {
		case err != nil:
			if matched < 0 {
				failed = append(failed, err)
			}
		case matched < 0:
			matched = i
		default:
			j.add(&kind.OneOf{Subschemas: []int{matched, i}})
			return
		}
	}
	if len(s.oneOf) > 0 && matched < 0 {
		j.add(&kind.OneOf{}, failed...)
	}
}

func (j *judgement) any(value any) {
	var failed []*ValidationError
	matched := false
	for _, one := range j.schema.anyOf {
		if err := j.self(one, value); err != nil {
			failed = append(failed, err)
			continue
		}
		matched = true
		if len(j.undone) == 0 {
			break
		}
	}
	if len(j.schema.anyOf) > 0 && !matched {
		j.add(&kind.AnyOf{}, failed...)
	}
}
