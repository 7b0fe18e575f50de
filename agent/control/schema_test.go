package control_test

import (
	"encoding"
	"encoding/json"
	"path"
	"reflect"
	"strings"
	"time"
)

// schemas makes JSON schemas of Go types, as encoding/json writes them.
type schemas map[string]any // the named ones

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
	textType = reflect.TypeFor[encoding.TextMarshaler]()
	jsonType = reflect.TypeFor[json.Marshaler]()
)

// of gives the schema of a type; a struct with a name is referred to.
func (s schemas) of(t reflect.Type) map[string]any {
	switch {
	case t == timeType:
		return map[string]any{"type": "string", "format": "date-time"}
	case t == rawType:
		return map[string]any{} // of the stage that wrote it
	case t.Kind() == reflect.Pointer:
		return s.of(t.Elem())
	case t.Implements(jsonType):
		return map[string]any{}
	case t.Implements(textType):
		return map[string]any{"type": "string"}
	}
	switch kind := t.Kind(); {
	case kind == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case kind == reflect.Float32, kind == reflect.Float64:
		return map[string]any{"type": "number"}
	case kind == reflect.String:
		return map[string]any{"type": "string"}
	case kind == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return map[string]any{"type": "string", "contentEncoding": "base64"}
	case kind == reflect.Slice:
		return map[string]any{"type": "array", "items": s.of(t.Elem())}
	case kind == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": s.of(t.Elem())}
	case kind == reflect.Struct:
		return s.named(t)
	case kind == reflect.Interface:
		return map[string]any{}
	case strings.HasPrefix(kind.String(), "uint"):
		return map[string]any{"type": "integer", "minimum": 0}
	}
	return map[string]any{"type": "integer"}
}

// named adds the schema of a struct, and refers to it.
func (s schemas) named(t reflect.Type) map[string]any {
	name := path.Base(t.PkgPath()) + "." + t.Name()
	if t.Name() == "" {
		return s.object(t)
	}
	if _, has := s[name]; !has {
		s[name] = nil // it may contain itself
		s[name] = s.object(t)
	}
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

func (s schemas) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		schema := s.of(field.Type)
		if optional := strings.Contains(options, "omit"); !optional {
			required = append(required, name)
			if kind := field.Type.Kind(); kind == reflect.Pointer || kind == reflect.Slice || kind == reflect.Map {
				schema = map[string]any{"anyOf": []any{schema, map[string]any{"type": "null"}}}
			}
		}
		properties[name] = schema
	}
	object := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		object["required"] = required
	}
	return object
}
