package manifests

import (
	"errors"
	"fmt"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// faults collects faults, so that one load reports all of them.
type faults []error

const (
	// maxFaults is how many faults, and how many warnings, of the files are listed. A file of
	// nothing but faults has millions.
	maxFaults = 10_000
	// maxFaultText is how many bytes a message and a hint have. They quote names of the files, which
	// may be as long as a file.
	maxFaultText = 1000
	// maxListed is how many bytes of known words a hint lists.
	maxListed = 500
)

func (f *faults) add(place fault.Place, hint, format string, args ...any) {
	switch {
	case len(*f) < maxFaults:
		one := fault.New(place, cutText(hint), format, args...)
		one.Message = cutText(one.Message)
		*f = append(*f, one)
	case len(*f) == maxFaults:
		*f = append(*f, fault.New(fault.Place{File: place.File}, "correct these first", "there are more than %d faults", maxFaults))
	}
}

func cutText(text string) string {
	if len(text) <= maxFaultText {
		return text
	}
	return strings.Clone(strings.ToValidUTF8(text[:maxFaultText], "")) + "…" // without the rest in memory
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
	listed, size := 0, 0
	for listed < len(known) && size+len(known[listed]) <= maxListed {
		size += len(known[listed]) + len(", ")
		listed++
	}
	text := "use one of: " + strings.Join(known[:listed], ", ")
	switch rest := len(known) - listed; {
	case listed == 0:
		return fmt.Sprintf("use one of the %d that are defined", rest)
	case rest > 0:
		return fmt.Sprintf("%s and %d more", text, rest)
	}
	return text
}
