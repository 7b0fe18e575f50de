package enginetest

import (
	"time"

	"github.com/docker/docker/api/types/swarm"
)

const (
	// restartDelay is Swarm's own of a restart policy that gives none.
	restartDelay = 5 * time.Second
	// stopLimit is how long Swarm waits for a task to stop before its successor starts.
	stopLimit = time.Minute
)

// delayedStart is the time that a task waits before Swarm wants it to run.
type delayedStart struct {
	restart bool   // the task has ended meanwhile, and is to be restarted afterwards
	over    bool   // the task may start, or another delay has taken over
	then    func() // called when it is over
}

// restartHistory counts the restarts in a slot, of one spec.
type restartHistory struct {
	specVersion uint64
	times       []time.Time
}

// restart replaces a task that has ended, as its restart policy says.
func (e *Engine) restart(t *task) {
	if t.service.removed || e.tasks[t.id] != t || !t.wanted() || t.stage <= stageRunning {
		return
	}
	if t.delay != nil {
		t.delay.restart = true
		return
	}
	e.want(t, stageShutdown)
	s := t.service
	if !e.restarts(t) {
		return
	}
	fresh := e.newTask(s, t.number, t.fixed, stageReady)
	s.countRestart(fresh)
	delay := restartDelay
	if policy := t.spec.RestartPolicy; policy != nil && policy.Delay != nil {
		delay = *policy.Delay
	}
	e.delayStart(nil, fresh, delay, nil)
}

// restarts reports whether the policy of a task that has ended wants another one.
func (e *Engine) restarts(t *task) bool {
	policy := t.spec.RestartPolicy
	if policy == nil {
		return !t.service.job() || t.stage != stageComplete
	}
	switch policy.Condition {
	case swarm.RestartPolicyConditionNone:
		return false
	case swarm.RestartPolicyConditionOnFailure:
		if t.stage == stageComplete {
			return false
		}
	case swarm.RestartPolicyConditionAny:
		if t.stage == stageComplete && t.service.job() {
			return false
		}
	}
	if policy.MaxAttempts == nil || *policy.MaxAttempts == 0 {
		return true
	}
	history := t.service.restarts[t.slot()]
	if history == nil || history.specVersion != t.specVersion {
		return true
	}
	if policy.Window == nil || *policy.Window == 0 {
		return uint64(len(history.times)) < *policy.MaxAttempts
	}
	recent, since := uint64(0), t.changed.Add(-*policy.Window)
	for _, at := range history.times {
		if at.After(since) && at.Before(t.changed) {
			recent++
		}
	}
	return recent < *policy.MaxAttempts
}

// countRestart notes that a task replaces another one.
func (s *service) countRestart(t *task) {
	if policy := t.spec.RestartPolicy; policy == nil || policy.MaxAttempts == nil || *policy.MaxAttempts == 0 {
		return
	}
	history := s.restarts[t.slot()]
	if history == nil || history.specVersion != t.specVersion {
		history = &restartHistory{specVersion: t.specVersion}
		s.restarts[t.slot()] = history
	}
	history.times = append(history.times, t.created)
}

// delayStart sets a task's desired state to its goal after a delay and, if old is not
// nil, after old has stopped. Then, if not nil, is called afterwards.
func (e *Engine) delayStart(old, fresh *task, delay time.Duration, then func()) {
	mine := &delayedStart{then: then}
	if before := fresh.delay; before != nil { // it is superseded
		mine.restart = before.restart
		before.end()
	}
	fresh.delay = mine
	begin := func() {
		if mine.over {
			return
		}
		fresh.delay = nil
		e.want(fresh, fresh.goal())
		if mine.restart {
			e.after(orchestrates, func() { e.restart(fresh) })
		}
		mine.end()
	}
	e.after(delay, func() {
		if old == nil || old.stage > stageRunning {
			begin()
			return
		}
		old.ended = append(old.ended, begin)
		e.after(stopLimit, begin)
	})
}

// end ends the waiting.
func (d *delayedStart) end() {
	d.over = true
	if d.then != nil {
		d.then()
	}
}
