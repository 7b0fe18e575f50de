package durations_test

import (
	"testing"
	"time"

	"coin.internal/coin-agent/internal/durations"
	"coin.internal/coin-agent/internal/fault"
)

func TestParse(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"2d": 2 * day, "1d12h": 36 * time.Hour, "2h30m": 150 * time.Minute, "90s": 90 * time.Second, "0s": 0, "0d": 0, "1.5h": 90 * time.Minute,
	} {
		if got, err := durations.Parse(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for text, hint := range map[string]string{
		"2days": "write it as 2d", "2 days": "write it as 2d", "3hours": "write it as 3h", "10min": "write it as 10m",
		"": "write it as 2h, 30m or 2d", "d": "write it as 2h, 30m or 2d", "-1d": "write it as 2h, 30m or 2d", "-2h": "write it as 2h, 30m or 2d",
		"1d-2h": "write it as 2h, 30m or 2d", "+2h": "write it as 2h, 30m or 2d", "99999d": "write it as 2h, 30m or 2d", "2": "write it as 2h, 30m or 2d", "1d2d": "write it as 2h, 30m or 2d",
	} {
		if got, err := durations.Parse(text); err == nil || fault.Hint(err) != hint {
			t.Errorf("%q: %s, %v, hint %q", text, got, err, fault.Hint(err))
		}
	}
}
