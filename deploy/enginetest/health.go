package enginetest

import (
	"cmp"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// check is a health check with the engine's defaults.
type check struct {
	interval, startPeriod time.Duration
	retries               int
}

// checkOf gives the health check of a container, nil for none: the spec's, or that of
// its image.
func checkOf(spec *swarm.ContainerSpec, b Behaviour) *check {
	named, none := checked(spec)
	switch {
	case none || !named && !b.Checked:
		return nil
	case !named:
		return &check{interval: time.Second, retries: 3}
	}
	given := spec.Healthcheck
	return &check{
		interval:    cmp.Or(given.Interval, 30*time.Second),
		startPeriod: given.StartPeriod, retries: cmp.Or(given.Retries, 3),
	}
}

// followHealth plans the first time at which a container's health changes. The checks
// in between are not simulated one by one, since nothing comes of them.
func (e *Engine) followHealth(t *task, by *check) {
	b := t.container.does
	passes := func(since time.Duration) bool {
		return !b.Unhealthy && (b.Sick == 0 || since < b.Sick)
	}
	failures := 0
	for since := by.interval; ; since += by.interval {
		if passes(since) {
			e.after(since, func() { e.healthy(t, by) })
			return
		}
		if since > by.startPeriod {
			failures++
		}
		if failures >= by.retries {
			e.after(since, func() { e.unhealthy(t) })
			return
		}
	}
}

// healthy notes the first check that passes: now the task runs.
func (e *Engine) healthy(t *task, by *check) {
	c := t.container
	if c.exited || c.stopping {
		return
	}
	c.health, c.checks = "healthy", []health{{e.clock, 0, "ok"}}
	e.tellContainer("health_status: healthy", t)
	if t.stage == stageStarting {
		e.set(t, stageRunning, "started", "")
	}
	if sick := c.does.Sick; sick > 0 {
		first := (sick + by.interval - 1) / by.interval * by.interval
		e.after(c.started.Add(first+time.Duration(by.retries-1)*by.interval).Sub(e.clock), func() { e.unhealthy(t) })
	}
}

// unhealthy has a container stopped whose checks have failed too often. The stop kills the
// next check, as a real engine may, so the log ends with one that says nothing.
func (e *Engine) unhealthy(t *task) {
	c := t.container
	if c.exited || c.stopping {
		return
	}
	c.health, c.checks = "unhealthy", []health{{e.clock, 1, "ask for health: 503"}, {e.clock, 137, ""}}
	e.tellContainer("health_status: unhealthy", t)
	code := e.halt(t)
	e.after(t.stopTime(), func() { e.exit(t, code, "dockerexec: unhealthy container") })
}
