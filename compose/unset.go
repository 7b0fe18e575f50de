package compose

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// join joins the faults of the files. If variables are unset, it returns only these
// faults: their empty values may cause the others.
func (f *files) join(faults []error) error {
	if f.lenient() || f.check != nil {
		return errors.Join(faults...)
	}
	if unset := f.unset(); len(unset) > 0 {
		faults = nil
		for _, one := range unset {
			faults = append(faults, one)
		}
	}
	return errors.Join(faults...)
}

// lenient reports whether unset variables are empty. Otherwise they are errors.
func (f *files) lenient() bool { return f.node.Config.Interpolation == manifests.Lenient }

// maxUnset is how many places with unset variables are listed.
const maxUnset = 10_000

// unset returns a fault for each place that mentions an unset variable.
func (f *files) unset() []*fault.Error {
	what := "is not set and has no default"
	if f.lenient() {
		what = "is not set: it is treated as empty"
	}
	places := f.unsetPlaces()
	var all []*fault.Error
	for _, name := range slices.Sorted(maps.Keys(places)) {
		hint := fmt.Sprintf("set %s in node.env, or add a default: ${%s:-value}", name, name)
		if strings.HasPrefix(name, tagPrefix) {
			hint = fmt.Sprintf("set TAG (or %s) in node.env", name)
		}
		for _, place := range places[name] {
			if len(all) == maxUnset {
				return append(all, fault.New(fault.Place{File: place.File}, "set these first", "more than %d places mention variables that are not set", maxUnset))
			}
			all = append(all, fault.New(place, hint, "the variable %s %s", name, what))
		}
	}
	return all
}

// unsetPlaces gives the places that need each unset variable: those with a default of their own do not.
func (f *files) unsetPlaces() map[string][]fault.Place {
	places := map[string][]fault.Place{} // one walk for all names: there can be thousands
	for _, s := range f.all {
		if len(s.variables.missing) == 0 {
			continue
		}
		walkScalars(s.root, func(node *yaml.Node) {
			place := fault.Place{File: s.path, Line: node.Line}
			for _, name := range s.variables.unsetIn(node.Value) {
				if known := places[name]; len(known) == 0 || known[len(known)-1] != place {
					places[name] = append(known, place)
				}
			}
		})
	}
	return places
}

// missing lists the variables that are not set and have no default, sorted.
func (f *files) missing() []string {
	all := map[string]bool{}
	for _, s := range f.all {
		maps.Copy(all, s.variables.missing)
	}
	return slices.Sorted(maps.Keys(all))
}
