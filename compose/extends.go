package compose

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// base is a service, of the same or of another file, that a service extends.
type base struct {
	source  *source
	service string
}

// readBases reads the files with the services that the services of s extend.
func (f *files) readBases(s *source) error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(mapping(s.plain["services"]))) {
		faults = append(faults, f.readBase(s, name, nil))
	}
	return errors.Join(faults...)
}

// readBase follows the extends of one service to the end. It skips an invalid extends,
// which compose-go refuses when it loads the file.
func (f *files) readBase(s *source, name string, chain []string) error {
	here := name + " in " + s.path
	place := s.place("services", name, "extends")
	if slices.Contains(chain, here) {
		return fault.New(place, "remove one of the extends", "the services extend each other: %s", strings.Join(append(chain, here), " extends "))
	}
	if _, known := s.bases[name]; known {
		return nil
	}
	reference, file := extendsOf(mapping(s.plain["services"])[name])
	if reference == "" {
		return nil
	}
	reference, err := s.variables.substitute(reference, s.variables.lookup)
	if err != nil {
		return nil //nolint:nilerr // the load of the file reports the error with its place
	}
	other := s
	if file != "" {
		if other, err = f.readExtended(s, file, s.place("services", name, "extends", "file")); err != nil {
			return err
		}
	}
	service, found := mapping(other.plain["services"])[reference]
	if file != "" && !found {
		return fault.New(place, "correct its name", "service %s extends %s, which is not in %s", name, reference, other.path)
	}
	if found && other.only != nil {
		other.only[reference] = service
	}
	s.bases[name] = base{source: other, service: reference}
	return f.readBase(other, reference, append(chain, here))
}

// extendsOf returns the service that a service extends, and its file, or "".
func extendsOf(service any) (reference, file string) {
	extends := mapping(service)["extends"]
	if reference, short := extends.(string); short {
		return reference, ""
	}
	reference, _ = mapping(extends)["service"].(string)
	file, _ = mapping(extends)["file"].(string)
	return reference, file
}

// readExtended reads a file with services that another file extends. For each of these
// files it reads the file only once.
func (f *files) readExtended(s *source, text string, place fault.Place) (*source, error) {
	file, err := f.otherFile(s, text, place)
	if err != nil {
		return nil, err
	}
	for _, known := range s.bases {
		if known.source != s && known.source.path == file {
			return known.source, nil
		}
	}
	other, err := f.readOther(file, path.Dir(file), s.variables.inner(nil), place)
	if err != nil {
		return nil, err
	}
	other.only = map[string]any{}
	return other, nil
}
