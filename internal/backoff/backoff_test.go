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
			wait = wait.After(0)
			if step := time.Until(wait.Until); wait.Tries != tries || step < least || step > min(least*3/2, backoff.Longest) {
				t.Errorf("wait %d: %s after %d tries", tries, step, wait.Tries)
			}
		}
		if asked := time.Until(wait.After(time.Hour).Until); asked != time.Hour {
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
