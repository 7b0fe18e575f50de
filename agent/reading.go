package agent

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
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
	open := r.now.Commit == commit && r.now.Open
	r.turnTo(commit)
	if r.now.Deaths >= maxDeaths {
		return &fault.Error{
			Message: fmt.Sprintf("the agent ended %d times while it read %s", r.now.Deaths, record.Short(commit)),
			Hint:    "see why in the agent's log (journalctl -u coin-agent), correct it in a new commit, or try this one again: agent retry",
			Err:     rollout.ErrUnreadable,
		}
	}
	if open {
		return nil
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

// Passed records that the revision was read up to its plan. The agent did not end because of
// it then, but was ended: the deaths do not count.
func (r *readings) Passed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.now.Open && r.now.Deaths == 0 {
		return nil
	}
	r.now.Open, r.now.Deaths = false, 0
	return r.store.SaveReading(r.now)
}

// mostDeadly bounds how many revisions are remembered that ended the agent.
const mostDeadly = 20

// turnTo makes a commit the revision that is read, and keeps the deaths in others.
func (r *readings) turnTo(commit string) {
	if r.now.Commit == commit {
		return
	}
	others := maps.Clone(r.now.Others)
	if r.now.Deaths > 0 {
		if others == nil || len(others) >= mostDeadly {
			others = map[string]int{}
		}
		others[r.now.Commit] = r.now.Deaths
	}
	r.now = record.Reading{Commit: commit, Deaths: others[commit], Others: others}
	delete(others, commit)
}

// forgive forgets the deaths, because a user wants the revision to be read again.
func (r *readings) forgive() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Deaths, r.now.Others = 0, nil
}

// during records that a revision is read while it is.
func during[T any](r *readings, commit string, read func() (T, error)) (T, error) {
	var none T
	if err := r.Begin(commit); err != nil {
		return none, err
	}
	found, err := read()
	if endErr := r.End(); endErr != nil {
		return none, fmt.Errorf("save state: %w", endErr)
	}
	return found, err
}

// watched is the followed repository. The revision that it reads is on record meanwhile.
type watched struct {
	source
	readings *readings
}

func (w watched) Fetch(ctx context.Context, revision gitsync.Revision, prefetch []string) (*gitsync.Checkout, error) {
	return during(w.readings, revision.Commit, func() (*gitsync.Checkout, error) { return w.source.Fetch(ctx, revision, prefetch) })
}

func (w watched) Descends(ctx context.Context, older, newer string) (bool, error) {
	return during(w.readings, newer, func() (bool, error) { return w.source.Descends(ctx, older, newer) })
}

func (w watched) Between(ctx context.Context, older, newer string, in gitsync.Inputs) ([]gitsync.Commit, error) {
	return during(w.readings, newer, func() ([]gitsync.Commit, error) { return w.source.Between(ctx, older, newer, in) })
}
