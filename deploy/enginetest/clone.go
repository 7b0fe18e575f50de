package enginetest

import (
	"maps"
	"reflect"
	"sync"
	"time"
)

// clone gives a copy that shares nothing with its original, as what goes over a
// connection does. Like JSON it makes nothing of empty lists and maps.
func clone[T any](value T) T {
	if deepen := deepener(reflect.TypeFor[T]()); deepen != nil {
		deepen(reflect.ValueOf(&value).Elem())
	}
	return value
}

// deepeners holds a function for each type that replaces what a value points to by
// copies; nil for types that hold no pointers, lists or maps.
var deepeners sync.Map // of reflect.Type to func(reflect.Value)

func deepener(t reflect.Type) func(reflect.Value) {
	if known, ok := deepeners.Load(t); ok {
		return known.(func(reflect.Value))
	}
	made := makeDeepener(t)
	deepeners.Store(t, made)
	return made
}

func makeDeepener(t reflect.Type) func(reflect.Value) {
	switch t.Kind() { //nolint:exhaustive // all other kinds are plain values
	case reflect.Pointer:
		return deepenPointer(t)
	case reflect.Struct:
		return deepenStruct(t)
	case reflect.Slice:
		return deepenSlice(t)
	case reflect.Map:
		return deepenMap(t)
	case reflect.Array, reflect.Interface:
		if t.Kind() == reflect.Interface || deepener(t.Elem()) != nil {
			panic("enginetest: cannot copy a " + t.String())
		}
	}
	return nil
}

func deepenPointer(t reflect.Type) func(reflect.Value) {
	inner := deepener(t.Elem())
	return func(v reflect.Value) {
		if v.IsNil() {
			return
		}
		fresh := reflect.New(t.Elem())
		fresh.Elem().Set(v.Elem())
		if inner != nil {
			inner(fresh.Elem())
		}
		v.Set(fresh)
	}
}

func deepenStruct(t reflect.Type) func(reflect.Value) {
	if t == reflect.TypeFor[time.Time]() { // its pointer is to a time zone, which is never changed
		return nil
	}
	type field struct {
		index  int
		deepen func(reflect.Value)
	}
	var fields []field
	for i := range t.NumField() {
		if inner := deepener(t.Field(i).Type); inner != nil {
			fields = append(fields, field{i, inner})
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return func(v reflect.Value) {
		for _, one := range fields {
			one.deepen(v.Field(one.index))
		}
	}
}

func deepenSlice(t reflect.Type) func(reflect.Value) {
	inner := deepener(t.Elem())
	return func(v reflect.Value) {
		length := v.Len()
		if length == 0 {
			v.SetZero()
			return
		}
		fresh := reflect.MakeSlice(t, length, length)
		reflect.Copy(fresh, v)
		if inner != nil {
			for i := range length {
				inner(fresh.Index(i))
			}
		}
		v.Set(fresh)
	}
}

func deepenMap(t reflect.Type) func(reflect.Value) {
	inner := deepener(t.Elem())
	return func(v reflect.Value) {
		if v.Len() == 0 {
			v.SetZero()
			return
		}
		if texts, ok := v.Interface().(map[string]string); ok { // most are
			v.Set(reflect.ValueOf(maps.Clone(texts)))
			return
		}
		fresh := reflect.MakeMapWithSize(t, v.Len())
		for entries := v.MapRange(); entries.Next(); {
			value := reflect.New(t.Elem()).Elem()
			value.Set(entries.Value())
			if inner != nil {
				inner(value)
			}
			fresh.SetMapIndex(entries.Key(), value)
		}
		v.Set(fresh)
	}
}
