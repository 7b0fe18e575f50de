package roster

import (
	"context"
	"sync"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/settings"
	gitsync "coin.internal/coin-agent/sync"
)

// Agreement remembers of the commit that was looked at last whether its stacks claim one object,
// so that ten stacks do not render each other ten times.
type Agreement struct {
	Settings *settings.Settings

	mu     sync.Mutex
	commit string
	err    error
}

// Check refuses a commit in which two stacks of the node claim one object or port.
func (a *Agreement) Check(ctx context.Context, checkout *gitsync.Checkout) error {
	commit := checkout.Revision.Commit
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.commit == commit {
		return a.err
	}
	err := desired.Disputed(ctx, checkout.Anew().FS, desired.Options{Environment: a.Settings.Environment, Node: a.Settings.Node, Limits: a.Settings.Limits})
	if ctx.Err() == nil {
		a.commit, a.err = commit, err
	}
	return err
}
