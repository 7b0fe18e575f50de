package gojsonschema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
)

// The types of JSON values.
const (
	typeArray   = "array"
	typeBoolean = "boolean"
	typeInteger = "integer"
	typeNull    = "null"
	typeNumber  = "number"
	typeObject  = "object"
	typeString  = "string"
)

// typeOf gives the type of a value. A value of another Go type is replaced by what JSON makes
// of it.
func typeOf(value any) (string, any, error) {
	switch v := value.(type) {
	case nil:
		return typeNull, v, nil
	case bool:
		return typeBoolean, v, nil
	case string:
		return typeString, v, nil
	case int, int64, uint64:
		return typeInteger, v, nil
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			return numberType(v == math.Trunc(v)), v, nil
		}
	case json.Number:
		number, ok := new(big.Rat).SetString(v.String())
		return numberType(ok && number.IsInt()), v, nil
	case []any:
		return typeArray, v, nil
	case map[string]any:
		return typeObject, v, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "", nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		return "", nil, err
	}
	return typeOf(plain)
}

func numberType(integer bool) string {
	if integer {
		return typeInteger
	}
	return typeNumber
}

// add adds an error. The caller adds one for a schema that was judged, so that an error costs one.
func (r *Result) add(kind, description string, at *place) *resultError {
	found := &resultError{kind: kind, description: description, at: at}
	r.errors = append(r.errors, found)
	r.score -= 2
	return found
}

func (r *Result) merge(other *Result) {
	r.errors = append(r.errors, other.errors...)
	r.score += other.score
}

// judge judges a value by a schema.
func (r *Result) judge(s *schema, value any, at *place) error {
	for s.ref != nil {
		s = s.ref
	}
	kind, value, err := typeOf(value)
	if err != nil {
		return err
	}
	if len(s.types) > 0 && !slices.Contains(s.types, kind) && (kind != typeInteger || !slices.Contains(s.types, typeNumber)) {
		r.add("invalid_type", "Invalid type. Expected: "+s.expected()+", given: "+kind, at).expected = s.expected()
		return nil
	}
	if err := r.alternatives(s, value, at); err != nil {
		return err
	}
	switch kind {
	case typeArray:
		err = r.array(s, value.([]any), at)
	case typeObject:
		err = r.object(s, value.(map[string]any), at)
	case typeString:
		r.format(s, value, at)
		r.score++
	case typeInteger, typeNumber:
		r.number(s, value, at)
		r.score++
	}
	if text, ok := value.(string); len(s.enum) > 0 && (!ok || !slices.Contains(s.enum, text)) {
		r.add("enum", at.field()+" must be one of the following: "+s.allowed(), at)
	}
	if kind == typeObject && err == nil {
		err = r.members(s, value.(map[string]any), at)
	}
	r.score += 3 // alternatives, enumeration, and the schema as a whole
	return err
}

// alternatives judges a value by the schemas of anyOf and oneOf. The errors of the one that fits
// best follow.
func (r *Result) alternatives(s *schema, value any, at *place) error {
	for _, choice := range []struct {
		schemas           []*schema
		kind, description string
		all               bool // they are all judged: only one may fit
	}{
		{s.anyOf, "number_any_of", "Must validate at least one schema (anyOf)", false},
		{s.oneOf, "number_one_of", "Must validate one and only one schema (oneOf)", true},
	} {
		var best *Result
		valid := 0
		for _, one := range choice.schemas {
			result := &Result{}
			if err := result.judge(one, value, at); err != nil {
				return err
			}
			if result.Valid() {
				valid++
				if !choice.all {
					break
				}
			} else if valid == 0 && (best == nil || result.score > best.score) {
				best = result
			}
		}
		if len(choice.schemas) == 0 || valid == 1 {
			continue
		}
		r.add(choice.kind, choice.description, at)
		if valid == 0 {
			r.merge(best)
		}
	}
	return nil
}

func (r *Result) array(s *schema, values []any, at *place) error {
	if s.items != nil {
		for i, value := range values {
			if err := r.judge(s.items, value, &place{strconv.Itoa(i), at}); err != nil {
				return err
			}
		}
	}
	r.score++
	if !s.unique || len(values) < 2 {
		return nil
	}
	seen := make(map[string]int, len(values))
	for j, value := range values {
		key, err := identity(value)
		if err != nil {
			return err
		}
		if i, twice := seen[key]; twice {
			r.add("unique", fmt.Sprintf("array items[%d,%d] must be unique", i, j), at)
		}
		seen[key] = j
	}
	return nil
}

// identity gives a text that equal values share.
func identity(value any) (string, error) {
	if text, ok := value.(string); ok {
		return `"` + text, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	var plain any // numbers in one form
	if err := json.Unmarshal(text, &plain); err != nil {
		return "", err
	}
	text, err = json.Marshal(plain)
	return string(text), err
}

// object judges which properties an object has, and those without a schema of their name.
func (r *Result) object(s *schema, values map[string]any, at *place) error {
	for _, name := range s.required {
		if _, ok := values[name]; ok {
			r.score++
		} else {
			r.add("required", name+" is required", at)
		}
	}
	r.score++
	if len(s.patterns) == 0 && !s.closed && s.additional == nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		matched := false
		for _, p := range s.patterns {
			if !p.key.MatchString(key) {
				continue
			}
			matched = true
			if err := r.judge(p.schema, values[key], &place{key, at}); err != nil {
				return err
			}
		}
		switch {
		case matched:
			r.score++
		case s.has(key):
		case s.closed:
			r.add("additional_property_not_allowed", "Additional property "+key+" is not allowed", at)
		case s.additional != nil:
			if err := r.judge(s.additional, values[key], &place{key, at}); err != nil {
				return err
			}
		}
	}
	return nil
}

// members judges the properties that have schemas of their names.
func (r *Result) members(s *schema, values map[string]any, at *place) error {
	for _, m := range s.properties {
		if value, ok := values[m.name]; ok {
			if err := r.judge(m.schema, value, &place{m.name, at}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Result) number(s *schema, value any, at *place) {
	if s.minimum == nil && s.format == "" {
		return
	}
	number, ok := new(big.Rat).SetString(fmt.Sprint(value))
	if !ok {
		return
	}
	if s.minimum != nil && number.Cmp(s.minimum) < 0 {
		r.add("number_gte", "Must be greater than or equal to "+fmt.Sprint(new(big.Float).SetRat(s.minimum)), at)
	}
	r.format(s, number, at)
}

// format judges a text or a *big.Rat by the schema's format.
func (r *Result) format(s *schema, value any, at *place) {
	if checker := FormatCheckers[s.format]; checker != nil && !checker.IsFormat(value) {
		r.add("format", "Does not match format '"+s.format+"'", at)
	}
}
