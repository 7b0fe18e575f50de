package manifests

import (
	"errors"
	"fmt"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// faults collects faults, so that one load reports all of them.
type faults []error

func (f *faults) add(place fault.Place, hint, format string, args ...any) {
	*f = append(*f, fault.New(place, hint, format, args...))
}

func (f faults) err() error { return errors.Join(f...) }

// oneOf returns a hint that suggests the nearest known word, or lists all.
func oneOf(got string, known []string) string {
	if near := nearest(got, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 {
		return "add it: none is defined yet"
	}
	return "use one of: " + strings.Join(known, ", ")
}

// nearest returns the known word that is similar to got, or "".
func nearest(got string, known []string) string {
	best, bestDistance := "", len(got)/3+2
	for _, word := range known {
		if d := distance(got, word); d < bestDistance {
			best, bestDistance = word, d
		}
	}
	return best
}

// distance counts the letters to insert, remove or replace to change a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
