package pulse

import (
	"context"
	"log/slog"
	"time"

	"coin.internal/coin-agent/internal/oneline"
	"coin.internal/coin-agent/internal/sdnotify"
)

// supervisor is systemd, which restarts a daemon that stops making progress.
type supervisor interface {
	Tell(states ...string) error
	Every() time.Duration
}

// Supervise tells a supervisor that the daemon is ready, once its first look has ended or has
// begun a rollout, and from then on that it makes progress, until ctx ends. A loop that is
// stuck is not reported as progress, so that the supervisor restarts the daemon.
func (p *Pulse) Supervise(ctx context.Context, by supervisor, log *slog.Logger) {
	tell := func(states ...string) {
		if err := by.Tell(states...); err != nil {
			log.Warn("cannot tell systemd how the agent does", "error", err)
		}
	}
	defer tell(sdnotify.Stopping)
	select {
	case <-ctx.Done():
		return
	case <-p.underway():
	}
	tell(sdnotify.Ready)
	every := by.Every() / 2
	if every <= 0 {
		<-ctx.Done()
		return
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := p.Stuck(time.Now()); err != nil {
			tell("STATUS=" + oneline.Cut(err.Error(), 200))
		} else {
			tell(sdnotify.Watchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
