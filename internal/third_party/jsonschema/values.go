package jsonschema

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// types is a set of the types of JSON values.
type types uint8

// names are the types, in the order in which the original lists them.
var names = []string{"null", "boolean", "number", "integer", "string", "array", "object"}

const (
	null types = 1 << iota
	boolean
	numeric
	integer
	text
	array
	object
)

// typesOf reads a type or a list of them.
func typesOf(value any) (all types, err error) {
	list := []string{}
	if one, single := value.(string); single {
		list = append(list, one)
	} else if list, err = texts(value); err != nil {
		return 0, err
	}
	for _, name := range list {
		at := slices.Index(names, name)
		if at < 0 {
			return 0, fmt.Errorf("the type %s is not implemented", name)
		}
		all |= 1 << at
	}
	return all, nil
}

// list gives the names of the types.
func (t types) list() (list []string) {
	for at, name := range names {
		if t&(1<<at) != 0 {
			list = append(list, name)
		}
	}
	return list
}

// typeOf gives the type of a value; 0 for one that is not of JSON.
func typeOf(value any) types {
	switch value.(type) {
	case nil:
		return null
	case bool:
		return boolean
	case json.Number, float32, float64, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return numeric
	case string:
		return text
	case []any:
		return array
	case map[string]any:
		return object
	}
	return 0
}

// rational gives the value of a number; nil if it is none.
func rational(value any) *big.Rat {
	found, ok := new(big.Rat).SetString(fmt.Sprint(value))
	if !ok {
		return nil
	}
	return found
}

// twice gives the first two items of a list that are the same.
func twice(list []any) (first, second int, found bool) {
	seen := make(map[string]int, len(list))
	for i, item := range list {
		key, err := json.Marshal(item) // sorts keys, and writes equal numbers the same
		if err != nil {
			continue
		}
		if j, again := seen[string(key)]; again {
			return j, i, true
		}
		seen[string(key)] = i
	}
	return 0, 0, false
}

// whole reports whether a number is one without a fraction.
func whole(value any) bool {
	if number, ok := value.(float64); ok {
		return number == math.Trunc(number) && !math.IsInf(number, 0)
	}
	number := rational(value)
	return number != nil && number.IsInt()
}
