package agent

import (
	"context"
	"time"

	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/deploy"
)

// deathsTogether is how long the agent waits for further deaths of containers before it
// looks at the services.
const deathsTogether = 3 * time.Second

// followDeaths has the loop look at the services of a stack when one of its containers has
// died. It ends with ctx.
func (a *Agent) followDeaths(ctx context.Context) {
	if a.parts.Tasks == nil {
		return
	}
	a.parts.Tasks.FollowDeaths(ctx, func(name string) {
		for _, s := range a.stacks {
			if s.board.Snapshot().Stack() != name || !s.health.Died() {
				continue
			}
			time.AfterFunc(deathsTogether, func() {
				select {
				case a.deaths <- struct{}{}:
				default: // the loop has been asked already
				}
			})
		}
	})
}

// lookAtDeaths reads the services of the stacks whose containers have died.
func (a *Agent) lookAtDeaths(ctx context.Context) {
	for _, s := range a.stacks {
		if !s.health.Pending() {
			continue
		}
		if _, err := s.observe(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("cannot look at the services", "error", err.Error())
		}
	}
}

// judge gives the health of the services that a look saw.
func (s *stack) judge(ctx context.Context, name string, services []deploy.ServiceStatus) error {
	before := s.board.Snapshot().Health
	now, err := s.health.Look(ctx, name, services)
	if err != nil {
		return err
	}
	s.board.Update(func(v *board.View) { v.Health = now })
	if now.State != before.State && (before.State != "" || now.State != health.Healthy) {
		s.log.Warn("the health of the services changed", "stack", name, "state", string(now.State), "services", now.Text())
	}
	return nil
}
