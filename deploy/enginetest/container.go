package enginetest

import (
	"fmt"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// taskContainer is what runs for a task on its node.
type taskContainer struct {
	id       string
	does     Behaviour
	started  time.Time
	exit     int
	exited   bool
	stopping bool
	health   string   // "" without a check
	checks   []health // the last
}

// health is one health check.
type health struct {
	at   time.Time
	exit int
	says string
}

// prepare pulls the image and makes the container of a task.
func (e *Engine) prepare(t *task) {
	if t.stage < stageAssigned || t.stage > stagePreparing || !t.wanted() {
		return
	}
	if t.stage < stagePreparing {
		e.set(t, stagePreparing, "preparing", "")
	}
	name := t.spec.ContainerSpec.Image
	found := e.images.find(name)
	b := found.behave(t.spec.ContainerSpec)
	delay := prepares
	if found != nil && !found.here {
		delay += b.Pull
	}
	e.after(delay, func() {
		if t.stage == stagePreparing && t.wanted() {
			e.make(t, found, b)
		}
	})
}

// make makes the container of a task, once its image is there.
func (e *Engine) make(t *task, from *image, b Behaviour) {
	name := t.spec.ContainerSpec.Image
	if from == nil || b.Missing || (b.Unreachable || b.Unpulled != "") && !from.here && !b.Local {
		words, retries := e.absent(name, b)
		if !retries {
			e.set(t, stageRejected, "preparing", words)
			return
		}
		e.set(t, stagePreparing, "preparing", words)
		e.after(pulls, func() { e.prepare(t) })
		return
	}
	from.here = true
	if b.Refused != "" {
		e.set(t, stageRejected, "preparing", b.Refused)
		return
	}
	t.container = &taskContainer{id: e.newContainerID("container", t.id), does: b}
	e.tellContainer("create", t)
	e.set(t, stageReady, "prepared", "")
	if t.desired == t.goal() {
		e.after(orchestrates, func() { e.startContainer(t) })
	}
}

// lacks gives the words with which a node does not start a container, since a secret
// or config is gone that its spec names.
func (e *Engine) lacks(spec *swarm.ContainerSpec) string {
	const words = "starting container failed: unable to get %[1]s from %[1]s store: %[1]s %[2]s not found"
	for _, reference := range spec.Secrets {
		if e.secrets[reference.SecretID] == nil {
			return fmt.Sprintf(words, "secret", reference.SecretID)
		}
	}
	for _, reference := range spec.Configs {
		if e.configs[reference.ConfigID] == nil {
			return fmt.Sprintf(words, "config", reference.ConfigID)
		}
	}
	return ""
}

// startContainer starts the container of a task that is prepared.
func (e *Engine) startContainer(t *task) {
	if t.stage != stageReady || t.desired != t.goal() {
		return
	}
	e.set(t, stageStarting, "starting", "")
	e.after(starts, func() {
		c := t.container
		if t.stage != stageStarting || c.stopping {
			return
		}
		if words := e.lacks(t.spec.ContainerSpec); words != "" {
			e.set(t, stageFailed, "starting", words)
			return
		}
		c.started = e.clock
		e.tellContainer("start", t)
		if c.does.Ends {
			e.after(c.does.After, func() { e.exit(t, c.does.Exit, "") })
		}
		if check := checkOf(t.spec.ContainerSpec, c.does); check != nil {
			c.health = "starting"
			e.followHealth(t, check)
			return
		}
		e.set(t, stageRunning, "started", "")
	})
}

// exit ends a container by itself, or since it was unhealthy.
func (e *Engine) exit(t *task, code int, cause string) {
	c := t.container
	if c.exited || c.stopping && cause == "" {
		return
	}
	c.exited, c.exit = true, code
	e.tellContainer("die", t, "exitCode", strconv.Itoa(code))
	if code == 0 {
		e.set(t, stageComplete, "finished", "")
		return
	}
	problem := fmt.Sprintf("task: non-zero exit (%d)", code)
	if cause != "" {
		problem += ": " + cause
	}
	e.set(t, stageFailed, t.message, problem)
}

// stopTask stops a task that Swarm does not want any more.
func (e *Engine) stopTask(t *task) {
	if t.stage < stageAssigned || t.stage > stageRunning {
		return
	}
	if t.container == nil || t.container.started.IsZero() {
		if t.container != nil {
			t.container.stopping = true
		}
		e.set(t, stageShutdown, "shutdown", "")
		return
	}
	code := e.halt(t)
	e.after(t.stopTime(), func() {
		if t.container.exited {
			return
		}
		t.container.exited, t.container.exit = true, code
		e.tellContainer("die", t, "exitCode", strconv.Itoa(code))
		e.set(t, stageShutdown, "shutdown", "")
	})
}

// halt sends a container SIGTERM, and gives the code that it will end with.
func (e *Engine) halt(t *task) int {
	t.container.stopping = true
	if t.container.does.Stop > t.grace() {
		return 137 // it is killed
	}
	return 143
}

// stopTime is how long it takes until a container has stopped.
func (t *task) stopTime() time.Duration {
	wait := min(t.container.does.Stop, t.grace())
	if len(t.spec.Networks) > 0 || len(t.service.spec.Networks) > 0 { //nolint:staticcheck // old services have the deprecated field
		wait += releases
	}
	return wait
}

func (t *task) grace() time.Duration {
	if grace := t.spec.ContainerSpec.StopGracePeriod; grace != nil {
		return *grace
	}
	return 10 * time.Second
}

// revive continues a task after a restart of the engine: what ran has failed, and
// what had not started yet begins anew.
func (e *Engine) revive(t *task) {
	t.started, t.ended, t.delay = nil, nil, nil
	gone := t.stage >= stageAssigned && t.stage <= stageRunning
	switch {
	case t.service.removed || t.desired == stageRemove:
		if gone {
			t.stage = stageShutdown
		}
		e.removeTaskSoon(t)
	case !t.wanted():
		if gone {
			e.set(t, stageShutdown, "shutdown", "")
		}
	case t.stage == stageStarting || t.stage == stageRunning:
		t.container.exited, t.container.exit = true, 143
		e.set(t, stageFailed, "started", "task: non-zero exit (143)")
	case t.stage <= stagePreparing || t.stage == stageReady:
		e.begin(t)
	default: // it had ended before, and Swarm had no time to act on it
		e.set(t, t.stage, t.message, t.problem)
	}
}

// begin schedules or prepares a task again that was not started yet.
func (e *Engine) begin(t *task) {
	if t.stage > stagePending {
		t.stage, t.container = stageAssigned, nil
		e.after(schedules, func() { e.prepare(t) })
	} else {
		e.after(schedules, func() { e.schedule(t) })
	}
	if t.desired == stageReady {
		delay := restartDelay
		if policy := t.spec.RestartPolicy; policy != nil && policy.Delay != nil {
			delay = *policy.Delay
		}
		e.delayStart(nil, t, delay-e.clock.Sub(t.changed), nil)
	}
}

// checked reports whether a spec names a health check, or none on purpose.
func checked(spec *swarm.ContainerSpec) (named, none bool) {
	if spec.Healthcheck == nil || len(spec.Healthcheck.Test) == 0 {
		return false, false
	}
	return true, spec.Healthcheck.Test[0] == "NONE"
}
