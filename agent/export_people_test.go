package agent

import (
	"context"

	"coin.internal/coin-agent/agent/audit"
)

// SyncOver asks for a sync that no freeze holds up, as the control socket does.
func (a *Agent) SyncOver(actor audit.Actor, reason string) error {
	word, err := a.override(actor, reason)
	if err != nil {
		return err
	}
	return a.syncFor(context.Background(), cause{trigger: "manual", actor: actor, override: word}, func(string) {}).err
}
