package checks

import (
	"fmt"
	"slices"
	"time"
)

const (
	// fewest is the minimum number of earlier releases for a comparison.
	fewest = 3
	// floor is the minimum difference that counts.
	floor = 50 * time.Millisecond
)

// Compare compares a result with the seconds of the same check in earlier good releases.
// The result is slower if it exceeds their median by more than percent and by at least
// 50 ms. Compare needs at least three releases.
func (r *Result) Compare(earlier []float64, percent int) {
	if !r.OK || len(earlier) < fewest {
		return
	}
	r.Baseline = median(earlier)
	r.Slower = r.Seconds > r.Baseline*(1+float64(percent)/100) && r.Seconds-r.Baseline >= floor.Seconds()
}

// Slowness returns a warning about a check that is slower than in earlier releases.
func (r Result) Slowness(percent int) string {
	return fmt.Sprintf("check %s took %s, %.0f%% more than the median %s of the last good releases (allowed: %d%%)",
		r, milliseconds(r.Seconds), (r.Seconds/r.Baseline-1)*100, milliseconds(r.Baseline), percent)
}

func milliseconds(seconds float64) string { return fmt.Sprintf("%.0f ms", seconds*1000) }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
