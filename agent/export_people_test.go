package agent

import (
	"context"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/request"
)

// SyncOver asks for a sync that no freeze holds up, as the control socket does.
func (a *Agent) SyncOver(actor audit.Actor, reason string) error {
	run, err := a.GrantSync(actor, request.Sync{OverrideFreeze: true, Reason: reason})
	if err != nil {
		return err
	}
	_, err = run(context.Background(), func(string) {})
	return err
}
