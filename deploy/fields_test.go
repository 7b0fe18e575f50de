package deploy_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy"
)

func itself(name string) string { return name }

// fill sets every field below v, lists and maps to one element.
func fill(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // the default refuses all other kinds
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("name"), reflect.ValueOf("value"))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(0.5)
	default:
		panic("a kind of field that the test does not know: " + v.Kind().String())
	}
}

// alterations calls try for each field below v, with a function that changes it;
// pointers, lists and maps are taken away as well as changed.
func alterations(path string, v reflect.Value, try func(path string, change func())) {
	take := func() { v.SetZero() }
	switch v.Kind() { //nolint:exhaustive // fill has refused all others than the floats of the default
	case reflect.Pointer:
		try(path+" without", take)
		alterations(path, v.Elem(), try)
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			below := strings.TrimPrefix(path+"."+field.Name, ".")
			if field.Anonymous {
				below = path
			}
			alterations(below, v.Field(i), try)
		}
	case reflect.Slice:
		try(path+" without", take)
		alterations(path, reflect.Indirect(v.Index(0)), try) // an element is never nil
	case reflect.Map:
		try(path+" without", take)
		try(path, func() { v.SetMapIndex(reflect.ValueOf("name"), reflect.ValueOf("other")) })
	case reflect.String:
		try(path, func() { v.SetString("other") })
	case reflect.Bool:
		try(path, func() { v.SetBool(false) })
	case reflect.Int, reflect.Int32, reflect.Int64:
		try(path, func() { v.SetInt(2) })
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		try(path, func() { v.SetUint(2) })
	default:
		try(path, func() { v.SetFloat(0.25) })
	}
}

// unseen are the alterations that are no difference, with the reason.
var unseen = map[string]string{
	"TaskTemplate.ContainerSpec.Secrets.SecretID":   "an object's ID: the name decides",
	"TaskTemplate.ContainerSpec.Configs.ConfigID":   "an object's ID: the name decides",
	"TaskTemplate.ContainerSpec.Mounts.Consistency": "Swarm does not keep it",
	"Mode.ReplicatedJob.MaxConcurrent without":      "the engine fills in 1",
	"Mode.ReplicatedJob.TotalCompletions without":   "the engine fills in MaxConcurrent",
	"EndpointSpec without":                          "the same as an empty one: the live one is carried over",
	"TaskTemplate.Placement.Platforms without":      "comes from the registry: the live ones are carried over",
}

var brackets = regexp.MustCompile(`\[[^\]]*\]`)

// TestEveryFieldIsCompared changes each field of the service spec in turn and
// demands that the difference names it.
func TestEveryFieldIsCompared(t *testing.T) {
	if changes := deploy.ServiceChanges(filled(), filled(), itself); len(changes) > 0 {
		t.Fatalf("a spec differs from itself: %v", changes)
	}
	count := countAlterations()
	for n := range count {
		spec := filled()
		path := alter(&spec, n)
		changes := deploy.ServiceChanges(filled(), spec, itself)
		if _, excepted := unseen[path]; excepted != (len(changes) == 0) {
			t.Errorf("%s: excepted %v, changes %v", path, excepted, changes)
		}
		field, _, _ := strings.Cut(path, " ")
		for _, c := range changes {
			named := brackets.ReplaceAllString(c.Path, "")
			if !strings.HasPrefix(named, field) && !strings.HasPrefix(field, named) {
				t.Errorf("%s: the difference names %s", path, c.Path)
			}
		}
	}
	t.Logf("%d alterations of fields, %d of them excepted", count, len(unseen))
}

func filled() swarm.ServiceSpec {
	var spec swarm.ServiceSpec
	fill(reflect.ValueOf(&spec).Elem())
	return spec
}

func countAlterations() int {
	count, spec := 0, filled()
	alterations("", reflect.ValueOf(&spec).Elem(), func(string, func()) { count++ })
	return count
}

// alter makes the n-th alteration and gives its path.
func alter(spec *swarm.ServiceSpec, n int) (altered string) {
	count, change := 0, func() {}
	alterations("", reflect.ValueOf(spec).Elem(), func(path string, one func()) {
		if count == n {
			altered, change = path, one
		}
		count++
	})
	change() // after the walk, which a pointer taken away would break
	return altered
}
