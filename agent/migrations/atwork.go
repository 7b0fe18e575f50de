package migrations

import (
	"context"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
)

// jobs is an engine that lists the jobs of a stack that have not ended.
type jobs interface {
	RunningJobs(ctx context.Context, stack string) ([]string, error)
}

// AtWork lists the jobs that have not ended after a short wait: one of them may be about
// to migrate the database. progress gets what it waits for. An error of the engine is
// transient.
func AtWork(ctx context.Context, engine jobs, stack string, progress func(string)) ([]string, error) {
	for attempt := 1; ; attempt++ {
		busy, err := engine.RunningJobs(ctx, stack)
		if err != nil {
			return nil, fault.Transient(err)
		}
		if len(busy) == 0 || attempt == attempts {
			return busy, nil
		}
		progress("waiting for " + strings.Join(busy, ", ") + " to end, before the database is asked for its migrations")
		if err := pause(ctx, interval); err != nil {
			return nil, err
		}
	}
}

// pause waits, and gives the cause if ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	backoff.NewBell().Rest(ctx, d)
	return context.Cause(ctx)
}
