package gates_test

import (
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gates"
)

func TestClock(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 20, 23, 30, 0, 0, time.UTC) // Saturday there
	for want, at := range map[string]time.Time{
		"08:00 CET":                time.Date(2026, 11, 21, 8, 0, 0, 0, zone),
		"Mon 08:00 CET":            time.Date(2026, 11, 23, 8, 0, 0, 0, zone),
		"Mon 2027-01-04 08:00 CET": time.Date(2027, 1, 4, 8, 0, 0, 0, zone),
	} {
		if got := gates.Clock(at, now); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
