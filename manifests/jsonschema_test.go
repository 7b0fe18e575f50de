package manifests

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"time"
)

// Schema returns the JSON Schema of config.yml, which editors use for completion.
func Schema() []byte {
	root := sectionSchema(reflect.TypeFor[Config]())
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = "config.yml of a coin-gitops environment"
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		panic(err) // maps, strings and numbers always marshal
	}
	return text.Bytes()
}

func sectionSchema(t reflect.Type) map[string]any {
	properties := map[string]any{}
	required := []string{}
	apart := []any{}
	fields, names := fieldsOf(t)
	for _, name := range names {
		field := t.Field(fields[name])
		property := typeSchema(field.Type, field.Tag)
		property["description"] = field.Tag.Get("doc")
		if text, ok := field.Tag.Lookup("default"); ok {
			value := reflect.New(field.Type).Elem()
			wanted(field.Type, field.Tag).set(value, text)
			property["default"] = value.Interface()
			if field.Type == reflect.TypeFor[time.Duration]() {
				property["default"] = text
			}
		}
		if field.Tag.Get("required") != "" {
			required = append(required, name)
			if field.Type.Kind() == reflect.Slice {
				property["minItems"] = 1
			}
		}
		for other := range strings.SplitSeq(field.Tag.Get("excludes"), ",") {
			if other != "" {
				apart = append(apart, map[string]any{"not": map[string]any{"required": []string{other, name}}})
			}
		}
		properties[name] = property
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(apart) > 0 {
		schema["allOf"] = apart
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

func typeSchema(t reflect.Type, tag reflect.StructTag) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return map[string]any{"type": "string", "pattern": `^(\+?([0-9]+\.?[0-9]*(ns|us|µs|ms|s|m|h))+|[0-9]+d([0-9]+\.?[0-9]*(ns|us|µs|ms|s|m|h))*)$`}
	case t.Kind() == reflect.Struct:
		return sectionSchema(t)
	case t.Kind() == reflect.Slice && tag.Get("single") != "":
		one := typeSchema(t.Elem(), tag)
		return map[string]any{"anyOf": []any{one, map[string]any{"type": "array", "items": one}}}
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": typeSchema(t.Elem(), tag)}
	case t.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": typeSchema(t.Elem(), "")}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case t.Kind() == reflect.Int:
		schema := map[string]any{"type": "integer"}
		low, high := bounds(tag)
		schema["minimum"] = low
		if high != math.MaxInt32 {
			schema["maximum"] = high
		}
		return schema
	case tag.Get("enum") != "":
		return map[string]any{"type": "string", "enum": strings.Split(tag.Get("enum"), "|")}
	}
	return map[string]any{"type": "string", "pattern": formats[tag.Get("format")].pattern}
}
