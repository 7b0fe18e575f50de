package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
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
			time.AfterFunc(deathsTogether, func() { signal(a.deaths) })
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

// judge gives the health of the services that a look saw, and publishes its changes after a
// good rollout. The last sync remembers what is published.
func (s *stack) judge(ctx context.Context, name string, seen drift.Seen) error {
	now, err := s.health.Look(ctx, name, seen.Services)
	if err != nil {
		return err
	}
	s.board.Update(func(v *board.View) { v.Health = now })
	if err := s.judgeSoak(now, seen); err != nil {
		return err
	}
	last := s.board.Snapshot().Last
	if last == nil || last.State != record.Succeeded {
		return nil
	}
	well := now.State == health.Healthy
	if well == (last.Degraded == "") || well && !now.Certain {
		return nil
	}
	sync := last.Copy()
	sync.Degraded = now.Names()
	s.log.Warn("the health of the services changed", "stack", name, "revision", record.Short(sync.Commit), "state", string(now.State), "services", now.Text())
	return errors.Join(s.publish.Health(sync, now), s.board.Save(sync))
}

// recent is how old a look at the services may be for a verdict: three intervals, or a read
// that the engine answers at the last moment, which was followed by another one.
func (s *stack) recent() time.Duration {
	return max(3*s.parts.Settings.Interval, deploy.ReadLimit+5*time.Second)
}

// unknown says why the state of the services is not known now; nil if a recent look saw them,
// or if there are none yet.
func (s *stack) unknown(v board.View, now time.Time) *report.Unknown {
	since := v.Observed
	if since.IsZero() {
		since = s.started
	}
	if v.Stack() == "" || now.Sub(since) <= s.recent() {
		return nil
	}
	unknown := &report.Unknown{Since: since, Why: string(deploy.WhyUnusable(v.Unread)), Working: v.Working()}
	if !unknown.Working {
		unknown.Other = s.working()
		unknown.Working = unknown.Other != ""
	}
	switch {
	case unknown.Why != "":
	case v.Reading:
		unknown.Why = string(deploy.Hangs)
	case v.Unread != nil:
		unknown.Why = "the services cannot be read"
	default:
		unknown.Why = "the agent has not looked at the services"
	}
	return unknown
}

// inSync reports whether a stack is in sync, as far as a look saw it that may count.
func (s *stack) inSync(v board.View) bool {
	unknown := s.unknown(v, time.Now())
	return v.InSync() && (unknown == nil || unknown.Working)
}

// measured gives what the metrics show of the services: nothing that a recent look did not
// see.
func (s *stack) measured() metrics.Services {
	v := s.board.Snapshot()
	if unknown := s.unknown(v, time.Now()); unknown != nil && !unknown.Working {
		return metrics.Services{Observed: v.Observed, Unknown: unknown.Why}
	}
	return metrics.Services{Observed: v.Observed, Of: v.Services, Verdict: v.Health}
}

// working names the stack that an attempt works at, which keeps the agent from the others; ""
// for none.
func (a *Agent) working() string {
	for _, s := range a.stacks {
		if s.board.Snapshot().Working() {
			return string(s.key)
		}
	}
	return ""
}

// catchUp looks at the services of the stacks that work at another one kept the agent from.
func (a *Agent) catchUp(ctx context.Context) {
	for _, s := range a.stacks {
		v := s.board.Snapshot()
		if v.Unread != nil || s.unknown(v, time.Now()) == nil {
			continue
		}
		if _, err := s.observe(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("cannot look at the services", "error", err.Error())
		}
	}
}

// peek reads the services between two looks that are far apart after failures. Once an engine
// answers that did not, the next look is due.
func (a *Agent) peek(ctx context.Context) {
	for _, s := range a.stacks {
		before := s.board.Snapshot().Unread
		if _, err := s.observe(ctx); before != nil && err == nil {
			a.nudge()
		}
	}
}

// HealthHandler answers /metrics, /healthz and /readyz.
func (a *Agent) HealthHandler() http.Handler {
	mux := a.pulse.Probes(a.ready)
	mux.Handle("GET /metrics", a.parts.Metrics.Handler())
	return mux
}

// ready says which of the remote and the engine did not answer at the last look, or for how
// long there was none.
func (a *Agent) ready() error {
	for _, s := range a.stacks {
		v := s.board.Snapshot()
		if v.LookError != nil {
			return v.LookError
		}
		if unknown := s.unknown(v, time.Now()); unknown != nil && !unknown.Working {
			return fmt.Errorf("the state of the services is unknown since %s: %s", unknown.Since.UTC().Format(time.RFC3339), unknown.Why)
		}
		if v.Desired == nil {
			return errors.New("the remote has not answered yet")
		}
	}
	return nil
}
