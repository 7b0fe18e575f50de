package checks

import (
	"fmt"
	"slices"
	"time"
)

const (
	// fewest is how many earlier releases are needed to compare with.
	fewest = 3
	// floor is the least difference that counts: 3 ms are no worse than 2 ms.
	floor = 50 * time.Millisecond
)

// Compare sets a result beside the seconds that the same check took in earlier
// good releases: it is slower when it took more than percent above their median,
// and at least 50 ms more. With fewer than three there is nothing to compare.
func (r *Result) Compare(earlier []float64, percent int) {
	if !r.OK || len(earlier) < fewest {
		return
	}
	r.Baseline = median(earlier)
	r.Slower = r.Seconds > r.Baseline*(1+float64(percent)/100) && r.Seconds-r.Baseline >= floor.Seconds()
}

// Slowness says how much slower than earlier releases a check was.
func (r Result) Slowness(percent int) string {
	return fmt.Sprintf("check %s took %s, the median of the last good releases is %s: %.0f%% more, %d%% are allowed",
		r, milliseconds(r.Seconds), milliseconds(r.Baseline), (r.Seconds/r.Baseline-1)*100, percent)
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
