// Package waitfor waits for a condition in tests.
package waitfor

import (
	"testing"
	"time"
)

// The time between two calls of a check. It grows with the time that has passed: many
// tests wait at once for engines, and asking costs them the processor.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 150 * time.Millisecond
	growth     = 20 // a pause is this part of the time that has passed
)

// NoError calls check every 20 to 150 ms until it returns nil. After limit it fails the
// test with the last error of check.
func NoError(tb testing.TB, limit time.Duration, check func() error) {
	tb.Helper()
	began := time.Now()
	for {
		err := check()
		if err == nil {
			return
		}
		passed := time.Since(began)
		if passed > limit {
			tb.Fatalf("not within %s: %v", limit, err)
		}
		<-time.After(min(max(firstPause, passed/growth), lastPause))
	}
}
