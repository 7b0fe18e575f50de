// Package durations takes what a user writes as a length of time, and gives the duration: Go's form
// such as 2h30m, and days such as 2d or 1d12h.
package durations

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

const day = 24 * time.Hour

// Parse reads a duration. It is not negative.
func Parse(text string) (time.Duration, error) {
	var days uint64
	rest := text
	if number, after, found := strings.Cut(text, "d"); found {
		var err error
		if days, err = strconv.ParseUint(number, 10, 16); err != nil {
			return 0, refused(text)
		}
		rest = after
	}
	duration := time.Duration(days) * day //nolint:gosec // of 16 bits
	if rest != "" || rest == text {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 || strings.HasPrefix(rest, "+") {
			return 0, refused(text)
		}
		duration += more
	}
	return duration, nil
}

// refused gives the fault of a text, with what its author may have meant.
func refused(text string) error {
	meant := "2h, 30m or 2d"
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz ")
	units := map[string]string{"day": "d", "days": "d", "hour": "h", "hours": "h", "min": "m", "minute": "m", "minutes": "m", "sec": "s", "second": "s", "seconds": "s"}
	if unit, known := units[strings.TrimSpace(strings.TrimPrefix(text, number))]; known {
		if _, err := strconv.ParseUint(number, 10, 16); err == nil {
			meant = number + unit
		}
	}
	return fault.New(fault.Place{}, "write it as "+meant, "%s", fmt.Sprintf("%q is not a valid duration", text))
}
