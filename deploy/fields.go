package deploy

import (
	"crypto/sha256"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Change is one field that differs, by its path in the spec, such as
// TaskTemplate.ContainerSpec.Env[LOG_LEVEL]. Old or New is empty if the field is not set.
// What looks secret is masked; in a plan, the value of an environment variable also if it
// looks random.
type Change struct {
	Path string `json:"path"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// fieldChanges compares two values of one type field by field. It uses reflection, so
// that it covers fields that a newer engine adds. An empty list or map equals nil. A
// pointer to an empty struct differs from nil, as it does for Swarm.
func fieldChanges(old, want any) []Change {
	if reflect.DeepEqual(old, want) {
		return nil // at most looks, and without a path for each field
	}
	var w walker
	w.walk("", reflect.ValueOf(old), reflect.ValueOf(want))
	return w.changes
}

type walker struct{ changes []Change }

func (w *walker) add(path, old, want string) {
	w.changes = append(w.changes, Change{Path: path, Old: masked(path, old), New: masked(path, want)})
}

func (w *walker) walk(path string, a, b reflect.Value) {
	switch a.Kind() { //nolint:exhaustive // the kinds that hold others
	case reflect.Pointer:
		w.walkPointer(path, a, b)
	case reflect.Struct:
		for i := range a.NumField() {
			if !plainlySame(a.Field(i), b.Field(i)) {
				w.walk(fieldPath(path, a.Type().Field(i)), a.Field(i), b.Field(i))
			}
		}
	case reflect.Map:
		w.walkKeyed(path, entries(a), entries(b))
	case reflect.Slice:
		w.walkSlice(path, a, b)
	default:
		if !a.Equal(b) {
			w.add(path, scalar(a), scalar(b))
		}
	}
}

// plainlySame reports whether two values have no difference, without a look at what they hold.
func plainlySame(a, b reflect.Value) bool {
	switch a.Kind() { //nolint:exhaustive // the kinds that hold others
	case reflect.Struct:
		return false
	case reflect.Pointer:
		return a.IsNil() && b.IsNil()
	case reflect.Map, reflect.Slice:
		return a.Len()+b.Len() == 0
	default:
		return a.Equal(b)
	}
}

// fieldPath gives the path of a field of the struct at path.
func fieldPath(path string, field reflect.StructField) string {
	switch {
	case field.Anonymous:
		return path
	case path == "":
		return field.Name
	}
	return path + "." + field.Name
}

func (w *walker) walkPointer(path string, a, b reflect.Value) {
	onlyOne := a.IsNil() != b.IsNil()
	before := len(w.changes)
	if !a.IsNil() && !b.IsNil() || onlyOne && a.Type().Elem().Kind() == reflect.Struct {
		w.walk(path, elemOrZero(a), elemOrZero(b))
	}
	if onlyOne && len(w.changes) == before {
		w.add(path, pointed(a), pointed(b))
	}
}

func elemOrZero(pointer reflect.Value) reflect.Value {
	if pointer.IsNil() {
		return reflect.Zero(pointer.Type().Elem())
	}
	return pointer.Elem()
}

// pointed renders what a pointer points to: a scalar, or an empty struct.
func pointed(pointer reflect.Value) string {
	switch {
	case pointer.IsNil():
		return ""
	case pointer.Elem().Kind() == reflect.Struct:
		return "{}"
	}
	return scalar(pointer.Elem())
}

// entries gives the values of a map with string keys.
func entries(m reflect.Value) map[string]reflect.Value {
	values := make(map[string]reflect.Value, m.Len())
	for _, key := range m.MapKeys() {
		values[key.String()] = m.MapIndex(key)
	}
	return values
}

// present renders an empty value as "", so that it differs from a value that is not
// set.
func present(text string) string {
	if text == "" {
		return `""`
	}
	return text
}

func (w *walker) walkSlice(path string, a, b reflect.Value) {
	if a.Type().Elem().Kind() == reflect.Uint8 {
		if !slices.Equal(a.Bytes(), b.Bytes()) {
			w.add(path, contentSum(a.Bytes()), contentSum(b.Bytes()))
		}
		return
	}
	if key := listKey(path); key != nil {
		old, oldOnce := indexed(a, key)
		want, wantOnce := indexed(b, key)
		if oldOnce && wantOnce {
			w.walkKeyed(path, old, want)
			return
		}
	}
	holders := []reflect.Kind{reflect.Struct, reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface}
	if !slices.Contains(holders, a.Type().Elem().Kind()) {
		if !reflect.DeepEqual(a.Interface(), b.Interface()) && a.Len()+b.Len() > 0 {
			w.changes = append(w.changes, Change{Path: path, Old: list(path, a), New: list(path, b)})
		}
		return
	}
	for i := range max(a.Len(), b.Len()) {
		below := path + "[" + strconv.Itoa(i) + "]"
		switch {
		case i >= a.Len():
			w.add(below, "", shortly(b.Index(i).Interface()))
		case i >= b.Len():
			w.add(below, shortly(a.Index(i).Interface()), "")
		default:
			w.walk(below, a.Index(i), b.Index(i))
		}
	}
}

func indexed(list reflect.Value, key func(any) string) (map[string]reflect.Value, bool) {
	byKey := make(map[string]reflect.Value, list.Len())
	for i := range list.Len() {
		byKey[key(list.Index(i).Interface())] = list.Index(i)
	}
	return byKey, len(byKey) == list.Len()
}

func (w *walker) walkKeyed(path string, a, b map[string]reflect.Value) {
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(keys(a), keys(b))))) {
		below := path + "[" + name + "]"
		old, inOld := a[name]
		want, inWant := b[name]
		switch {
		case !inOld:
			w.add(below, "", present(elementText(path, want)))
		case !inWant:
			w.add(below, present(elementText(path, old)), "")
		case old.Kind() == reflect.String:
			if old.String() != want.String() {
				w.add(below, elementText(path, old), elementText(path, want))
			}
		default:
			w.walk(below, old, want)
		}
	}
}

// elementText renders an element of a keyed list. It leaves out the name of a variable,
// which the path contains.
func elementText(path string, element reflect.Value) string {
	text := shortly(element.Interface())
	if strings.HasSuffix(path, ".Env") {
		if _, value, ok := strings.Cut(text, "="); ok {
			return value
		}
		return "(no value)"
	}
	return text
}

func scalar(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return value.String()
	case os.FileMode:
		return fmt.Sprintf("%#o", uint32(value))
	default:
		return fmt.Sprint(value)
	}
}

// list renders a list of scalars, with the secrets in it masked.
func list(path string, v reflect.Value) string {
	if v.Len() == 0 {
		return ""
	}
	elements := make([]string, 0, v.Len())
	for i := range v.Len() {
		element := scalar(v.Index(i))
		if name, _, assigns := strings.Cut(element, "="); assigns && hides(name, element[len(name)+1:]) {
			element = name + "=" + Hidden
		}
		elements = append(elements, element)
	}
	if hides(settingName(path), "") {
		return Hidden
	}
	return cut(shortly(maskedList(elements)))
}

func contentSum(content []byte) string {
	if len(content) == 0 {
		return ""
	}
	return fmt.Sprintf("%d bytes, sha256:%.12x", len(content), sha256.Sum256(content))
}
