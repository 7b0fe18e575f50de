package rollout

import (
	"errors"
	"fmt"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	gitsync "coin.internal/coin-agent/sync"
)

// ErrUnreadable is the cause of the refusal of a revision that ended the agent while it was
// read.
var ErrUnreadable = errors.New("the revision cannot be read")

// Unreadable reports whether a fetch failed because of the revision, so that no later fetch
// of it succeeds.
func Unreadable(err error) bool {
	return errors.Is(err, ErrUnreadable) || errors.Is(err, limits.ErrExceeded)
}

// Transient reports whether the engine, the network, a registry or the node's disk caused a failure, so
// that the same revision may succeed later.
func Transient(err error) bool {
	return fault.IsTransient(err) || errors.Is(err, deploy.ErrUnavailable) || errors.Is(err, deploy.ErrLogin) ||
		errors.Is(err, gitsync.ErrUnreachable) || errors.Is(err, gitsync.ErrAuth)
}

// maxListed is how many faults are recorded of a revision.
const maxListed = 1000

// faults gives the first of the faults that err joins, with the number of the
// others, and the list of all when there are several.
func faults(err error) (text, hint string, all []record.Fault) {
	for _, one := range fault.All(err) {
		all = append(all, record.Fault{Error: one.Error(), Hint: fault.Hint(one), Code: fault.CodeOf(one)})
	}
	text, hint = all[0].Error, all[0].Hint
	if len(all) == 1 {
		return text, hint, nil
	}
	return fmt.Sprintf("%s (and %d more)", text, len(all)-1), hint, all[:min(len(all), maxListed)]
}
