// Package backoff delays repeated attempts: from the number of failed attempts and the
// request of a server it makes the time of the next one. It guarantees that two attempts
// are never less than a second apart, and spreads those of nodes that failed at the same time.
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

// Below gives a time from zero to less than n.
func (r Random) Below(n time.Duration) time.Duration {
	if r == nil {
		return rand.N(n)
	}
	return time.Duration(r(int64(n)))
}

// After returns the wait after another failed attempt: twice as long as the last one, up to
// Longest, and at least as long as asked. Up to half as much is added as jitter, also to what was
// asked and to the longest waits: a server that was away, or that asked all nodes to wait, does
// not get their requests at the same time.
func (w Wait) After(asked time.Duration, random Random) Wait {
	step := min(time.Second<<min(w.Tries, 9), Longest*2/3)
	step += random.Below(step / 2)
	if asked > 0 {
		step = max(step, asked+random.Below(min(asked, Longest)/2+1))
	}
	return Wait{Until: time.Now().Add(step), Tries: w.Tries + 1}
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

// Loop takes turns until ctx ends, and returns ctx's error. A turn gives the rest before the next
// one.
func (b Bell) Loop(ctx context.Context, turn func(context.Context) time.Duration) error {
	for ctx.Err() == nil {
		b.Rest(ctx, turn(ctx))
	}
	return ctx.Err()
}
