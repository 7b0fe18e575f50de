package backoff_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/internal/backoff"
)

func TestAfter(t *testing.T) {
	least, most := func(int64) int64 { return 0 }, func(n int64) int64 { return n - 1 }
	for name, test := range map[string]struct {
		tries             int
		asked, least, end time.Duration // the wait is in [least, end)
	}{
		"the first":               {0, 0, time.Second, 1500 * time.Millisecond},
		"the third":               {2, 0, 4 * time.Second, 6 * time.Second},
		"the eighth":              {7, 0, 128 * time.Second, 192 * time.Second},
		"the ninth":               {8, 0, backoff.Longest * 2 / 3, backoff.Longest},
		"the hundredth":           {99, 0, backoff.Longest * 2 / 3, backoff.Longest},
		"a minute was asked for":  {0, time.Minute, time.Minute, 90*time.Second + 1},
		"an hour was asked for":   {0, time.Hour, time.Hour, time.Hour + backoff.Longest/2 + 1},
		"less than the next step": {7, time.Second, 128 * time.Second, 192 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before := backoff.Wait{Tries: test.tries}
				shortest, longest := before.After(test.asked, least), before.After(test.asked, most)
				if got := time.Until(shortest.Until); got != test.least || shortest.Tries != test.tries+1 {
					t.Errorf("at least %s after %d tries, want %s", got, shortest.Tries, test.least)
				}
				if got := time.Until(longest.Until); got != test.end-1 {
					t.Errorf("at most %s, want %s", got, test.end-1)
				}
				if got := time.Until(before.After(test.asked, nil).Until); got < test.least || got >= test.end {
					t.Errorf("got %s, want between %s and %s", got, test.least, test.end)
				}
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for value, want := range map[string]time.Duration{
			"": 0, "-5": 0, "soon": 0, "90": 90 * time.Second, "999999999999": time.Hour, "86400": time.Hour,
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat):  time.Minute,
			time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
		} {
			if got := backoff.RetryAfter(http.Header{"Retry-After": {value}}); got != want {
				t.Errorf("%q: got %s, want %s", value, got, want)
			}
		}
	})
}

func TestBell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bell := backoff.NewBell()
		rested := func(ctx context.Context) time.Duration {
			begin := time.Now()
			bell.Rest(ctx, time.Minute)
			return time.Since(begin)
		}
		bell.Ring()
		bell.Ring()
		if rang, silent := rested(t.Context()), rested(t.Context()); rang != 0 || silent != time.Minute {
			t.Errorf("after two rings: %s, %s", rang, silent)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if ended := rested(ctx); ended != time.Second {
			t.Errorf("with a context of 1s: %s", ended)
		}
	})
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hold backoff.Hold
		for i, step := range []struct{ asks, passes, want time.Duration }{
			{0, 0, 0},
			{time.Minute, 10 * time.Second, 50 * time.Second},
			{20 * time.Second, 0, 50 * time.Second}, // shorter than what is left
			{time.Hour, 50 * time.Second, time.Hour - 50*time.Second},
			{0, time.Hour, 0},
		} {
			hold.Ask(step.asks)
			time.Sleep(step.passes)
			if left := hold.Left(); left != step.want {
				t.Errorf("step %d: %s are left, want %s", i, left, step.want)
			}
		}
	})
}
