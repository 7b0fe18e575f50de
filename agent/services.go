package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
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
		for _, s := range a.all() {
			if s.board.Snapshot().Stack() != name || !s.health.Died() {
				continue
			}
			time.AfterFunc(deathsTogether, func() { signal(a.deaths) })
		}
	})
}

// lookAtDeaths reads the services of the stacks whose containers have died.
func (a *Agent) lookAtDeaths(ctx context.Context) {
	for _, s := range a.all() {
		if !s.health.Pending() {
			continue
		}
		if _, err := s.observe(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("cannot look at the services", "error", err.Error())
		}
	}
}

// working names the stack that an attempt works at, which keeps the agent from the others; ""
// for none.
func (a *Agent) working() string {
	for _, s := range a.all() {
		if s.board.Snapshot().Working() {
			return string(s.key)
		}
	}
	return ""
}

// catchUp looks at the services of the stacks that work at another one kept the agent from.
func (a *Agent) catchUp(ctx context.Context) {
	for _, s := range a.all() {
		v := s.board.Snapshot()
		if v.Unread != nil || s.sight.Unknown(v, time.Now()) == nil {
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
	a.live.Begin()
	defer a.live.End()
	for _, s := range a.all() {
		before := s.board.Snapshot().Unread
		if _, err := s.observe(ctx); before != nil && err == nil {
			a.nudge()
		}
	}
}

// measure has the node's metrics ask the parts at each scrape.
func (p *Parts) measure() {
	p.Metrics.Reports(func() int {
		if p.Reports == nil {
			return 0
		}
		return p.Reports.Health().Undelivered
	})
	p.Metrics.Tokens(p.expiries)
	if p.Audit != nil {
		p.Metrics.Audit(func() uint64 { return p.Audit.Head().Seq }, func() map[string]int {
			left := map[string]int{}
			if p.Anchors != nil {
				for _, place := range p.Anchors.Health() {
					left[place.Place] = place.Left
				}
			}
			return left
		})
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
	for _, s := range a.all() {
		v := s.board.Snapshot()
		if v.LookError != nil {
			return v.LookError
		}
		if unknown := s.sight.Unknown(v, time.Now()); unknown != nil && !unknown.Working {
			return fmt.Errorf("the state of the services is unknown since %s: %s", unknown.Since.UTC().Format(time.RFC3339), unknown.Why)
		}
		if v.Desired == nil {
			return errors.New("the remote has not answered yet")
		}
	}
	return nil
}
