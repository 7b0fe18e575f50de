package agent

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

// maxDeaths is how often the agent may die while it reads a revision before it holds it.
const maxDeaths = 2

// readingStore keeps the revision that is read over a restart.
type readingStore interface {
	Reading() (record.Reading, error)
	SaveReading(reading record.Reading) error
}

// readings counts how often the process ended while it read a revision. An end that the agent
// itself chose, such as by SIGTERM, does not count.
type readings struct {
	store readingStore
	log   *slog.Logger

	mu  sync.Mutex // a rollout that waits for services reads newer revisions
	now record.Reading
}

// recall counts the death of the process before, if it read a revision.
func (r *readings) recall() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if r.now, err = r.store.Reading(); err != nil || !r.now.Open {
		return err
	}
	r.now.Open = false
	r.now.Deaths++
	r.log.Warn("the agent ended while it read a revision", "revision", record.Short(r.now.Commit), "times", r.now.Deaths)
	return r.store.SaveReading(r.now)
}

// Begin records that a revision is read next. It gives an error that wraps
// rollout.ErrUnreadable for one that ended the agent too often.
func (r *readings) Begin(commit string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now.Commit == commit && r.now.Deaths >= maxDeaths {
		return &fault.Error{
			Message: fmt.Sprintf("the agent ended %d times while it read %s", r.now.Deaths, record.Short(commit)),
			Hint:    "see why in the agent's log (journalctl -u coin-agent), correct it in a new commit, or try this one again: agent retry",
			Err:     rollout.ErrUnreadable,
		}
	}
	if r.now.Commit == commit && r.now.Open {
		return nil
	}
	if r.now.Commit != commit {
		r.now = record.Reading{Commit: commit}
	}
	r.now.Open = true
	return r.store.SaveReading(r.now)
}

// End records that the revision was read.
func (r *readings) End() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.now.Open {
		return nil
	}
	r.now.Open = false
	return r.store.SaveReading(r.now)
}

// forgive forgets the deaths, because a user wants the revision to be read again.
func (r *readings) forgive() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Deaths = 0
}

// watched is the followed repository. What it fetches is on record meanwhile.
type watched struct {
	source
	readings *readings
}

func (w watched) Fetch(ctx context.Context, revision gitsync.Revision, prefetch []string) (*gitsync.Checkout, error) {
	if err := w.readings.Begin(revision.Commit); err != nil {
		return nil, err
	}
	checkout, err := w.source.Fetch(ctx, revision, prefetch)
	if endErr := w.readings.End(); endErr != nil {
		return nil, fmt.Errorf("save state: %w", endErr)
	}
	return checkout, err
}
