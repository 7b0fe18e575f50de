// Package backoff delays repeated attempts: from the number of failed attempts and the
// request of a server it makes the time of the next one. It guarantees that two attempts
// are never less than a second apart.
package backoff

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Longest is the longest wait, unless a server asks for more.
const Longest = 5 * time.Minute

// Wait is the time before the next attempt. The zero Wait allows an attempt at once.
type Wait struct {
	Until time.Time
	Tries int // failed attempts
}

// Random gives a number below n, for the jitter of waits. A nil Random is math/rand's.
type Random func(n int64) int64

func (r Random) below(n time.Duration) time.Duration {
	if r == nil {
		return rand.N(n)
	}
	return time.Duration(r(int64(n)))
}

// After returns the wait after another failed attempt: twice as long as the last one, with
// jitter so that nodes do not retry at the same time, and at least as long as asked.
func (w Wait) After(asked time.Duration, random Random) Wait {
	step := time.Second << min(w.Tries, 9)
	step = min(step+random.below(step/2), Longest)
	return Wait{Until: time.Now().Add(max(step, asked)), Tries: w.Tries + 1}
}

// longestAsked limits the wait that a server can ask for, so that a wrong clock does not
// stop the deliveries for days.
const longestAsked = time.Hour

// RetryAfter returns the wait that the header Retry-After asks for, or 0.
func RetryAfter(header http.Header) time.Duration {
	value, wait := header.Get("Retry-After"), time.Duration(0)
	if seconds, err := strconv.Atoi(value); err == nil {
		wait = time.Duration(min(seconds, 1<<20)) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), longestAsked)
}

// Bell wakes a loop that rests.
type Bell chan struct{}

// NewBell makes a Bell.
func NewBell() Bell { return make(Bell, 1) }

// Ring ends the current or the next Rest.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// Rest waits for d, for Ring, or for the end of ctx.
func (b Bell) Rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-b:
	case <-ctx.Done():
	}
}
