package manifests

import (
	"errors"
	"fmt"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// faults collects faults, so that one load reports all of them.
type faults []error

// maxFaults is how many faults, and how many warnings, of the files are listed. A file of
// nothing but faults has millions.
const maxFaults = 10_000

func (f *faults) add(place fault.Place, hint, format string, args ...any) {
	switch {
	case len(*f) < maxFaults:
		*f = append(*f, fault.New(place, hint, format, args...))
	case len(*f) == maxFaults:
		*f = append(*f, fault.New(fault.Place{File: place.File}, "correct these first", "there are more than %d faults", maxFaults))
	}
}

func (f faults) err() error { return errors.Join(f...) }

// oneOf returns a hint that suggests the nearest known word, or lists all.
func oneOf(got string, known []string) string {
	if near := fault.Nearest(got, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 {
		return "add it: none is defined yet"
	}
	return "use one of: " + strings.Join(known, ", ")
}
