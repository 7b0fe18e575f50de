package deploy

import "reflect"

// clone gives a copy of a value whose pointers and lists, at any depth, can be written
// without effect on the original. It shares the maps.
func clone[T any](value T) T {
	separate(reflect.ValueOf(&value).Elem())
	return value
}

// separate replaces what a value points to by copies.
func separate(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // the kinds that point to others
	case reflect.Pointer:
		if !v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			fresh.Elem().Set(v.Elem())
			separate(fresh.Elem())
			v.Set(fresh)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			separate(v.Field(i))
		}
	case reflect.Slice:
		fresh := reflect.AppendSlice(reflect.Zero(v.Type()), v)
		switch v.Type().Elem().Kind() { //nolint:exhaustive // the kinds that point to others
		case reflect.Pointer, reflect.Struct, reflect.Slice:
			for i := range fresh.Len() {
				separate(fresh.Index(i))
			}
		}
		v.Set(fresh)
	}
}
