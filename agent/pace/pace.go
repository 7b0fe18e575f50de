// Package pace takes the interval of the looks, and gives when the next look is. It guarantees
// that nodes which start or fail at the same time do not look at the same time.
package pace

import (
	"time"

	"golang.org/x/sys/unix"

	"coin.internal/coin-agent/internal/backoff"
)

const (
	longestFirst = 5 * time.Minute  // before the first look after a boot
	longestAfter = 10 * time.Minute // after failed looks, unless the interval is longer
)

// Pace gives the waits between looks.
type Pace struct {
	Interval time.Duration
	Random   backoff.Random // for the jitter; nil: math/rand's
}

// First gives the wait before the first look. An agent that runs for the first time since its
// machine started waits at random, up to the interval: after a power failure many machines start
// at the same time. ran is when an agent ran on the node last; zero if none did.
func (p Pace) First(ran time.Time) time.Duration {
	if ran.IsZero() || !ran.Before(booted()) {
		return 0 // a user has installed or restarted it
	}
	return p.Random.Below(min(p.Interval, longestFirst))
}

// booted gives when the machine started; the zero Time if that is not known.
func booted() time.Time {
	var since unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &since); err != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(since.Nano()))
}

// Next gives the wait after a look: the interval, doubled for each failed look in a row, give or
// take a tenth.
func (p Pace) Next(failures int) time.Duration {
	wait := p.Interval
	for range min(failures, 10) {
		wait = min(2*wait, max(longestAfter, p.Interval))
	}
	tenth := wait / 10
	return wait - tenth + p.Random.Below(2*tenth+1)
}
