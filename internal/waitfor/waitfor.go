// Package waitfor waits for a condition in tests.
package waitfor

import (
	"testing"
	"time"
)

// NoError calls check every 20 ms until it returns nil. After limit it fails the
// test with the last error of check.
func NoError(tb testing.TB, limit time.Duration, check func() error) {
	tb.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("not within %s: %v", limit, err)
		}
		<-tick.C
	}
}
