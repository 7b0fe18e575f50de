package agent

import (
	"context"

	"coin.internal/coin-agent/internal/sdnotify"
)

// Supervise tells systemd when the first look has ended or has begun a rollout, and that the
// loop makes progress, until ctx ends.
func (a *Agent) Supervise(ctx context.Context, by sdnotify.Service) {
	a.pulse.Supervise(ctx, by, a.parts.Log)
}
