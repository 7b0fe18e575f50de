package deploy_test

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/deploy"
)

// filler sets every field of a value, each text and number to a different value. Lists and
// maps get two elements.
type filler struct{ n int }

func (f *filler) fill(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // the default refuses all other kinds
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			v.SetMapIndex(reflect.ValueOf(f.text()), reflect.ValueOf(f.text()))
		}
	case reflect.String:
		v.SetString(f.text())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		f.n++
		v.SetInt(int64(f.n))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		f.n++
		v.SetUint(uint64(f.n % 200)) //nolint:gosec // not negative
	case reflect.Float32, reflect.Float64:
		v.SetFloat(0.5)
	default:
		panic("a kind of field that the test does not know: " + v.Kind().String())
	}
}

func (f *filler) text() string {
	f.n++
	return fmt.Sprintf("text%d", f.n)
}

// filled gives a value of T with all fields set, always the same.
func filled[T any]() T {
	var value T
	new(filler).fill(reflect.ValueOf(&value).Elem())
	return value
}

// alterations calls try for each field below v, with a function that changes it. It also
// removes pointers, lists and maps, and adds, removes and reorders elements of lists and
// maps.
func alterations(path string, v reflect.Value, try func(alteration string, change func())) {
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
		alterList(path, v, try)
	case reflect.Map:
		try(path+" without", take)
		name := func(i int) reflect.Value {
			return slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })[i]
		}
		try(path+" value", func() { v.SetMapIndex(name(0), reflect.ValueOf("other")) })
		try(path+" key removed", func() { v.SetMapIndex(name(0), reflect.Value{}) })
		try(path+" key added", func() { v.SetMapIndex(reflect.ValueOf("other"), reflect.ValueOf("")) })
	case reflect.String:
		try(path, func() { v.SetString("other") })
	case reflect.Bool:
		try(path, func() { v.SetBool(false) })
	case reflect.Int, reflect.Int32, reflect.Int64:
		try(path, func() { v.SetInt(1000) })
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		try(path, func() { v.SetUint(201) })
	default:
		try(path, func() { v.SetFloat(0.25) })
	}
}

func alterList(path string, v reflect.Value, try func(string, func())) {
	try(path+" without", func() { v.SetZero() })
	try(path+" element removed", func() { v.Set(v.Slice(0, 1)) })
	try(path+" element added", func() {
		one := reflect.New(v.Type().Elem()).Elem()
		(&filler{n: 5000}).fill(one)
		v.Set(reflect.Append(v, one))
	})
	try(path+" reordered", func() {
		turned := reflect.MakeSlice(v.Type(), 2, 2)
		turned.Index(0).Set(v.Index(1))
		turned.Index(1).Set(v.Index(0))
		v.Set(turned)
	})
	if v.Type().Elem().Kind() != reflect.Uint8 {
		alterations(path, reflect.Indirect(v.Index(0)), try) // an element is never nil
	}
}

var brackets = regexp.MustCompile(`\[[^\]]*\]`)

// coverage checks that each alteration of a T, except the listed ones, is a difference
// that names its field. With -v it lists them all.
func coverage[T any](t *testing.T, differences func(live, want T) []string, excepted map[string]string) {
	t.Helper()
	if changes := differences(filled[T](), filled[T]()); len(changes) > 0 {
		t.Fatalf("a value differs from itself: %v", changes)
	}
	count := 0
	model := filled[T]()
	alterations("", reflect.ValueOf(&model).Elem(), func(string, func()) { count++ })
	left := maps.Clone(excepted)
	var lines []string
	for n := range count {
		want := filled[T]()
		alteration := alter(&want, n)
		changes := differences(filled[T](), want)
		reason, except := excepted[alteration]
		delete(left, alteration)
		if except != (len(changes) == 0) {
			t.Errorf("%s: excepted %v, changes %v", alteration, except, changes)
		}
		field, _, _ := strings.Cut(alteration, " ")
		for _, path := range changes {
			named := brackets.ReplaceAllString(path, "")
			if !strings.HasPrefix(named, field) && !strings.HasPrefix(field, named) {
				t.Errorf("%s: the difference names %s", alteration, path)
			}
		}
		if except {
			lines = append(lines, alteration+": excepted, "+reason)
		} else {
			lines = append(lines, alteration+": covered")
		}
	}
	for name := range left {
		t.Errorf("the exception %q is of no field", name)
	}
	slices.Sort(lines)
	t.Logf("%d alterations, %d covered, %d excepted:\n%s", count, count-len(excepted), len(excepted), strings.Join(lines, "\n"))
}

// alter makes the n-th alteration and gives its name.
func alter[T any](value *T, n int) (altered string) {
	count, change := 0, func() {}
	alterations("", reflect.ValueOf(value).Elem(), func(name string, one func()) {
		if count == n {
			altered, change = name, one
		}
		count++
	})
	change() // after the walk, which a removed pointer would break
	return altered
}

func paths(changes []deploy.Change) []string {
	list := make([]string, 0, len(changes))
	for _, change := range changes {
		list = append(list, change.Path)
	}
	return list
}

// noOrder is why another order of a list is not a difference: the order has no meaning,
// and writing it would restart tasks, so the live order is kept.
const noOrder = "a list whose order means nothing: the live order is kept"

// TestEveryFieldIsCompared changes each field of the service spec in turn and checks that
// the difference names it.
func TestEveryFieldIsCompared(t *testing.T) {
	const container = "TaskTemplate.ContainerSpec."
	coverage(t, func(live, want swarm.ServiceSpec) []string {
		return paths(deploy.ServiceChanges(live, want))
	}, map[string]string{
		container + "Secrets.SecretID":              "an object's ID: the name decides",
		container + "Configs.ConfigID":              "an object's ID: the name decides",
		container + "Mounts.Consistency":            "Swarm does not keep it",
		container + "Mounts.ClusterOptions without": "it has no fields, and Swarm does not keep it",
		"EndpointSpec without":                      "the same as an empty one: the live one is carried over",
		"TaskTemplate.Placement.Platforms without":  "comes from the registry: the live ones are carried over",

		container + "Env reordered":            noOrder,
		container + "Groups reordered":         noOrder,
		container + "Mounts reordered":         noOrder,
		container + "Secrets reordered":        noOrder,
		container + "Configs reordered":        noOrder,
		container + "Ulimits reordered":        noOrder,
		container + "CapabilityAdd reordered":  noOrder,
		container + "CapabilityDrop reordered": noOrder,
		"TaskTemplate.Networks reordered":      noOrder,
		"Networks reordered":                   noOrder,

		"TaskTemplate.Networks.Aliases reordered":                        noOrder,
		"Networks.Aliases reordered":                                     noOrder,
		"TaskTemplate.Placement.Constraints reordered":                   noOrder,
		"TaskTemplate.Placement.Platforms reordered":                     "registries list platforms in any order",
		"TaskTemplate.Resources.Reservations.GenericResources reordered": noOrder,
		"EndpointSpec.Ports reordered":                                   noOrder,
	})
}

// TestLiveOrderIsWritten checks that a list whose order has no meaning is written in the
// live order, so that a write for another reason does not restart tasks.
func TestLiveOrderIsWritten(t *testing.T) {
	count := 0
	model := filled[swarm.ServiceSpec]()
	alterations("", reflect.ValueOf(&model).Elem(), func(string, func()) { count++ })
	for n := range count {
		live, want := filled[swarm.ServiceSpec](), filled[swarm.ServiceSpec]()
		alteration := alter(&want, n)
		if !strings.HasSuffix(alteration, " reordered") || len(deploy.ServiceChanges(live, want)) > 0 {
			continue
		}
		if diff := cmp.Diff(live, deploy.Settle(want, live)); diff != "" {
			t.Errorf("%s (-live +written):\n%s", alteration, diff)
		}
	}
}
