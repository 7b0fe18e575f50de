package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/internal/visible"
)

const (
	shortestRetry = time.Second
	longestRetry  = 10 * time.Second
)

// reconnecting reads a stream of the agent until ctx ends, and connects again when the agent
// goes away. The stream says whether it got anything. Without an agent at first, it fails.
func reconnecting(ctx context.Context, a *app, stream func() (got bool, err error)) error {
	wait, connected := shortestRetry, false
	for {
		got, err := stream()
		if got {
			wait = shortestRetry
		}
		ended := errors.Is(err, control.ErrStreamEnded)
		connected = connected || got || ended
		switch {
		case ctx.Err() != nil:
			return nil
		case !connected, !ended && !errors.Is(err, control.ErrNotRunning) && !errors.Is(err, control.ErrNoAnswer):
			return err
		}
		fmt.Fprintf(a.stderr, "agent: warning: %s; reconnecting\n", visible.Lines(err.Error(), "  "))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
			wait = min(2*wait, longestRetry)
		}
	}
}
