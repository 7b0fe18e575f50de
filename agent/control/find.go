package control

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// finder finds a sync by its ID. It gives the range of IDs, too.
type finder interface {
	Sync(id uint64) (found *record.Sync, oldest, newest uint64, err error)
}

// Latest stands for the newest sync where an ID is asked for.
const Latest = "latest"

// ErrNoSync says that the history has no sync of an ID.
var ErrNoSync = errors.New("no such sync")

// FindSync gives the sync that a user names: by its ID, or the latest.
func FindSync(recorded finder, which string) (*record.Sync, error) {
	id, err := strconv.ParseUint(strings.TrimPrefix(which, "#"), 10, 64)
	if err != nil && which != Latest {
		return nil, fault.WithHint(fmt.Errorf("%w: %q is not a number", ErrNoSync, which), "name the ID as `agent history` shows it, or "+Latest)
	}
	sync, oldest, newest, err := recorded.Sync(id)
	if err == nil && which == Latest {
		sync, oldest, newest, err = recorded.Sync(newest)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the history: %w", err)
	case newest == 0:
		return nil, fault.WithHint(fmt.Errorf("%w: the history is empty", ErrNoSync), "`agent sync` makes the first one")
	case sync == nil:
		return nil, fault.WithHint(fmt.Errorf("%w: #%s", ErrNoSync, strings.TrimPrefix(which, "#")), fmt.Sprintf("the history has #%d to #%d: see `agent history`", oldest, newest))
	}
	return sync, nil
}
