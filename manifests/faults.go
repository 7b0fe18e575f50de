package manifests

import (
	"errors"
	"fmt"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// faults collects what is wrong, so that one load names everything at once.
type faults []error

func (f *faults) add(place fault.Place, hint, format string, args ...any) {
	*f = append(*f, fault.New(place, hint, format, args...))
}

func (f faults) err() error { return errors.Join(f...) }

// oneOf lists what could have been meant, with the nearest first if one is near.
func oneOf(got string, known []string) string {
	if near := nearest(got, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 {
		return "there are none yet"
	}
	return "use one of: " + strings.Join(known, ", ")
}

// nearest gives the known word that got was probably meant to be, or "".
func nearest(got string, known []string) string {
	best, bestDistance := "", len(got)/3+2
	for _, word := range known {
		if d := distance(got, word); d < bestDistance {
			best, bestDistance = word, d
		}
	}
	return best
}

// distance counts the letters to insert, drop or change to make b out of a.
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
