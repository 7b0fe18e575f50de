package agent

import (
	"context"
	"sync"

	"coin.internal/coin-agent/agent/desired"
	gitsync "coin.internal/coin-agent/sync"
)

// agreed remembers of the commit that was looked at last whether its stacks claim one object, so
// that ten stacks do not render each other ten times.
type agreed struct {
	mu     sync.Mutex
	commit string
	err    error
}

// agrees refuses a commit in which two stacks of the node claim one object or port.
func (a *Agent) agrees(ctx context.Context, checkout *gitsync.Checkout) error {
	commit, known := checkout.Revision.Commit, &a.agreed
	known.mu.Lock()
	defer known.mu.Unlock()
	if known.commit == commit {
		return known.err
	}
	settings := &a.parts.Settings
	err := desired.Disputed(ctx, checkout.Anew().FS, desired.Options{Environment: settings.Environment, Node: settings.Node, Limits: settings.Limits})
	if ctx.Err() == nil {
		known.commit, known.err = commit, err
	}
	return err
}
