package pace_test

import (
	"testing"
	"time"

	"coin.internal/coin-agent/agent/pace"
)

func least(int64) int64  { return 0 }
func most(n int64) int64 { return n - 1 }

func TestNext(t *testing.T) {
	for name, test := range map[string]struct {
		interval    time.Duration
		failures    int
		least, most time.Duration
	}{
		"a good look":        {30 * time.Second, 0, 27 * time.Second, 33 * time.Second},
		"one failed":         {30 * time.Second, 1, 54 * time.Second, 66 * time.Second},
		"four failed":        {30 * time.Second, 4, 432 * time.Second, 528 * time.Second},
		"many failed":        {30 * time.Second, 1000, 9 * time.Minute, 11 * time.Minute},
		"a long interval":    {time.Hour, 0, 54 * time.Minute, 66 * time.Minute},
		"… failed":           {time.Hour, 3, 54 * time.Minute, 66 * time.Minute},
		"the least interval": {time.Second, 0, 900 * time.Millisecond, 1100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			shortest := pace.Pace{Interval: test.interval, Random: least}.Next(test.failures)
			longest := pace.Pace{Interval: test.interval, Random: most}.Next(test.failures)
			if shortest != test.least || longest != test.most {
				t.Errorf("%s to %s, want %s to %s", shortest, longest, test.least, test.most)
			}
		})
	}
}

func TestFirst(t *testing.T) {
	longAgo := time.Now().Add(-20 * 365 * 24 * time.Hour) // before any boot
	for name, test := range map[string]struct {
		interval time.Duration
		ran      time.Time
		want     time.Duration
	}{
		"a new node":           {30 * time.Second, time.Time{}, 0},
		"a restart by a user":  {30 * time.Second, time.Now(), 0},
		"the first since boot": {30 * time.Second, longAgo, 30*time.Second - 1},
		"a long interval":      {time.Hour, longAgo, 5*time.Minute - 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (pace.Pace{Interval: test.interval, Random: most}).First(test.ran); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
