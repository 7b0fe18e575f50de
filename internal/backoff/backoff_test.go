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
	synctest.Test(t, func(t *testing.T) {
		var wait backoff.Wait
		for tries, least := 1, time.Second; tries <= 12; tries, least = tries+1, min(2*least, backoff.Longest) {
			wait = wait.After(0, nil)
			if step := time.Until(wait.Until); wait.Tries != tries || step < least || step > min(least*3/2, backoff.Longest) {
				t.Errorf("wait %d: %s after %d tries", tries, step, wait.Tries)
			}
		}
		if asked := time.Until(wait.After(time.Hour, nil).Until); asked != time.Hour {
			t.Errorf("got %s, want the hour that was asked for", asked)
		}
	})
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

func TestRandomGivesTheJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		most := func(n int64) int64 { return n - 1 }
		for tries, want := range []time.Duration{1500 * time.Millisecond, 3 * time.Second, 6 * time.Second} {
			if step := time.Until(backoff.Wait{Tries: tries}.After(0, most).Until); step != want-1 {
				t.Errorf("wait %s after %d attempts, want %s", step, tries, want-1)
			}
		}
	})
}
