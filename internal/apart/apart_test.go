package apart_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/internal/apart"
)

func TestDo(t *testing.T) {
	failed := errors.New("failed")
	if value, err := apart.Do(t.Context(), func() (int, error) { return 1, nil }, nil); value != 1 || err != nil {
		t.Errorf("got %d, %v", value, err)
	}
	if _, err := apart.Do(t.Context(), func() (int, error) { return 1, failed }, nil); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

// TestAbandoned ends the wait with the context, and gives what comes later to late.
func TestAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late := make(chan int, 1)
		began := time.Now()
		_, err := apart.Do(ctx, func() (int, error) {
			time.Sleep(time.Minute)
			return 7, nil
		}, func(value int) { late <- value })
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("after %s: %v", took, err)
		}
		if value := <-late; value != 7 {
			t.Errorf("late is %d", value)
		}
	})
}

// TestBegin has each caller get the result, which is made meanwhile, and once.
func TestBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed, calls, began := errors.New("failed"), 0, time.Now()
		wait := apart.Begin(func() (int, error) {
			calls++
			time.Sleep(time.Minute)
			return 7, failed
		})
		if took := time.Since(began); took != 0 {
			t.Errorf("it begins after %s", took)
		}
		for range 2 {
			if value, err := wait(); value != 7 || !errors.Is(err, failed) || calls != 1 || time.Since(began) != time.Minute {
				t.Errorf("got %d, %v after %d calls and %s", value, err, calls, time.Since(began))
			}
		}
	})
}
