package compose

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/compose-spec/compose-go/v2/interpolation"
	composego "github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/tree"
	composetypes "github.com/compose-spec/compose-go/v2/types"
)

// typed is a place of a compose file, and those below it. A text at a place with a cast becomes
// a number or a boolean.
type typed struct {
	cast  interpolation.Cast
	below map[string]*typed
}

// typedPlaces are compose-go's typed places as a tree. compose-go compares the path of each text
// with all of them, which was half of the time of a render.
var typedPlaces = sync.OnceValue(func() *typed {
	root := &typed{}
	for place, cast := range composego.ToOptions(&composetypes.ConfigDetails{}, nil).Interpolate.TypeCastMapping {
		at := root
		for _, part := range place.Parts() {
			if at.below == nil {
				at.below = map[string]*typed{}
			}
			if at.below[part] == nil {
				at.below[part] = &typed{}
			}
			at = at.below[part]
		}
		at.cast = cast
	}
	return root
})

// interpolate returns a document with the values of its variables, and with typed values at
// typed places: the same that compose-go makes of it.
func (s *source) interpolate(document map[string]any) (map[string]any, error) {
	dict, err := interpolation.Interpolate(document, interpolation.Options{LookupValue: s.variables.lookup, Substitute: s.variables.interpolate})
	if err != nil {
		return nil, err
	}
	var faults []castError
	cast(dict, "", []*typed{typedPlaces()}, func(found castError) { faults = append(faults, found) })
	slices.SortFunc(faults, func(a, b castError) int { return cmp.Compare(a.place, b.place) })
	errs := make([]error, 0, len(faults))
	for _, found := range faults {
		errs = append(errs, fmt.Errorf("error while interpolating %s: failed to cast to expected type: %w", found.place, found.err))
	}
	return dict, errors.Join(errs...)
}

type castError struct {
	place tree.Path
	err   error
}

// cast casts the texts in value, in place. Each of the places in at may be that of the value.
func cast(value any, path tree.Path, at []*typed, fail func(castError)) any {
	if len(at) == 0 {
		return value
	}
	switch value := value.(type) {
	case string:
		for _, one := range at {
			if one.cast == nil {
				continue
			}
			typed, err := one.cast(value)
			if err != nil {
				fail(castError{path, err})
			}
			return typed
		}
	case map[string]any:
		for key, one := range value {
			if below := inside(at, key); below != nil {
				value[key] = cast(one, path.Next(key), below, fail)
			}
		}
	case []any:
		for i, one := range value {
			value[i] = cast(one, path.Next(tree.PathMatchList), inside(at, tree.PathMatchList), fail)
		}
	}
	return value
}

// inside gives the places of a key below other places.
func inside(at []*typed, key string) (below []*typed) {
	for _, one := range at {
		for _, part := range []string{key, tree.PathMatchAll} {
			if next := one.below[part]; next != nil {
				below = append(below, next)
			}
		}
	}
	return below
}
