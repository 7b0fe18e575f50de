package migrations

import (
	"context"
	"strings"
	"time"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
)

// jobs is an engine that gives the jobs of a stack that work or are to work.
type jobs interface {
	Jobs(ctx context.Context, stack string) (deploy.Jobs, error)
}

// AtWork gives the jobs that work, or are to work, after a short wait for the end of those that
// run: one of them may be about to migrate the database. progress gets what it waits for. An
// error of the engine is transient.
func AtWork(ctx context.Context, engine jobs, stack string, progress func(string)) (deploy.Jobs, error) {
	for attempt := 1; ; attempt++ {
		now, err := engine.Jobs(ctx, stack)
		if err != nil {
			return deploy.Jobs{}, fault.Transient(err)
		}
		if len(now.Running) == 0 || attempt == attempts {
			return now, nil
		}
		progress("waiting for " + strings.Join(now.Running, ", ") + " to end, before the rollback")
		if err := pause(ctx, interval); err != nil {
			return deploy.Jobs{}, err
		}
	}
}

// pause waits, and gives the cause if ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	backoff.NewBell().Rest(ctx, d)
	return context.Cause(ctx)
}
