// Package reading takes which revision is read, and gives whether it may be read. It counts,
// over restarts, how often the process ended meanwhile. It guarantees that a revision that
// ended the agent twice is not read again until a user asks for that.
package reading

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/internal/fault"
)

// maxDeaths is how often the agent may die while it reads a revision before it holds it.
const maxDeaths = 2

// records keep the revision that is read over a restart.
type records interface {
	Reading() (record.Reading, error)
	SaveReading(reading record.Reading) error
}

// Counter counts how often the process ended while it read a revision. An end that the agent
// itself chose, such as by SIGTERM, does not count.
type Counter struct {
	records records
	log     *slog.Logger

	mu   sync.Mutex // a rollout that waits for services reads newer revisions
	now  record.Reading
	held bool // the revision stays on record between two readings
}

// New makes a Counter. It knows nothing before Recall.
func New(records records, log *slog.Logger) *Counter { return &Counter{records: records, log: log} }

// Recall counts the death of the process before, if it read a revision.
func (c *Counter) Recall() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if c.now, err = c.records.Reading(); err != nil || !c.now.Open {
		return err
	}
	c.now.Open = false
	c.now.Deaths++
	c.log.Warn("the agent ended while it read a revision", "revision", record.Short(c.now.Commit), "times", c.now.Deaths)
	return c.records.SaveReading(c.now)
}

// Begin records that a revision is read next. It gives an error that wraps
// rollout.ErrUnreadable for one that ended the agent too often.
func (c *Counter) Begin(commit string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	open := c.now.Commit == commit && c.now.Open
	c.turnTo(commit)
	if c.now.Deaths >= maxDeaths {
		return &fault.Error{
			Message: fmt.Sprintf("the agent ended %d times while it read %s", c.now.Deaths, record.Short(commit)),
			Hint:    "see why in the agent's log (journalctl -u coin-agent), correct it in a new commit, or try this one again: agent retry",
			Err:     rollout.ErrUnreadable,
		}
	}
	if open {
		return nil
	}
	c.now.Open = true
	return c.records.SaveReading(c.now)
}

// End records that the revision was read, unless it is held.
func (c *Counter) End() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end()
}

// end records that the revision was read. The caller has locked the Counter.
func (c *Counter) end() error {
	if !c.now.Open || c.held {
		return nil
	}
	c.now.Open = false
	return c.records.SaveReading(c.now)
}

// Hold keeps the revision that is read next on record until Release, or until it has passed:
// readings of it that follow one another in a look write the state file twice, not twice each.
func (c *Counter) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
}

// Release ends what Hold began. A record that cannot be written then counts as a death at the next
// start, as it would after a kill.
func (c *Counter) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	if err := c.end(); err != nil {
		c.log.Error("cannot save state", "error", err)
	}
}

// Passed records that the revision was read up to its plan. The agent did not end because of
// it then, but was ended: the deaths do not count.
func (c *Counter) Passed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	if !c.now.Open && c.now.Deaths == 0 {
		return nil
	}
	c.now.Open, c.now.Deaths = false, 0
	return c.records.SaveReading(c.now)
}

// mostDeadly bounds how many revisions are remembered that ended the agent.
const mostDeadly = 20

// turnTo makes a commit the revision that is read, and keeps the deaths in others.
func (c *Counter) turnTo(commit string) {
	if c.now.Commit == commit {
		return
	}
	others := maps.Clone(c.now.Others)
	if c.now.Deaths > 0 {
		if others == nil || len(others) >= mostDeadly {
			others = map[string]int{}
		}
		others[c.now.Commit] = c.now.Deaths
	}
	c.now = record.Reading{Commit: commit, Deaths: others[commit], Others: others}
	delete(others, commit)
}

// Forgive forgets the deaths, because a user wants the revision to be read again.
func (c *Counter) Forgive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.Deaths, c.now.Others = 0, nil
}

// during records that a revision is read while it is.
func during[T any](c *Counter, commit string, read func() (T, error)) (T, error) {
	var none T
	if err := c.Begin(commit); err != nil {
		return none, err
	}
	found, err := read()
	if endErr := c.End(); endErr != nil {
		return none, fmt.Errorf("save state: %w", endErr)
	}
	return found, err
}
