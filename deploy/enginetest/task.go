package enginetest

import (
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// stage is how far a task is, or is to come, in Swarm's order.
type stage int

const (
	stageNew stage = iota
	stagePending
	stageAssigned
	stageAccepted
	stagePreparing
	stageReady
	stageStarting
	stageRunning
	stageComplete
	stageShutdown
	stageFailed
	stageRejected
	stageRemove
)

// stages are the API's names of the stages.
var stages = [...]swarm.TaskState{
	swarm.TaskStateNew, swarm.TaskStatePending, swarm.TaskStateAssigned, swarm.TaskStateAccepted, swarm.TaskStatePreparing,
	swarm.TaskStateReady, swarm.TaskStateStarting, swarm.TaskStateRunning, swarm.TaskStateComplete, swarm.TaskStateShutdown,
	swarm.TaskStateFailed, swarm.TaskStateRejected, swarm.TaskStateRemove,
}

// How long the parts of the engine take. A real one is as slow or slower.
const (
	// orchestrates is how long Swarm takes to act on a change of its store.
	orchestrates = 10 * time.Millisecond
	// schedules is how long it takes to give tasks to nodes.
	schedules = 50 * time.Millisecond
	// prepares is how long a container takes to be made, without the pull.
	prepares = 100 * time.Millisecond
	// starts is how long a container takes to start.
	starts = 100 * time.Millisecond
	// releases is how long a node waits before it stops a container with networks,
	// so that the other nodes learn of it.
	releases = 2 * time.Second
	// stops is how long a container takes to stop that obeys SIGTERM.
	stops = 100 * time.Millisecond
	// reaps is how long Swarm leaves tasks that it has done with.
	reaps = 250 * time.Millisecond
	// pulls is how often a node of engine 29 tries again to pull an image whose
	// registry it does not reach.
	pulls = time.Second
)

// slot is where a task belongs: a number of a replicated service, or a node of a
// global one.
type slot struct {
	number int
	node   string
}

// task is one task of a service. Its spec is the service's own of a time, and is never
// changed.
type task struct {
	id          string
	service     *service
	serviceName string
	labels      map[string]string // the service's when the task was made
	number      int
	fixed       *node // of a global service
	node        *node
	spec        *swarm.TaskSpec
	endpoint    *swarm.EndpointSpec
	specVersion uint64
	iteration   *swarm.Version // of a job

	version          uint64
	created, updated time.Time
	stage, desired   stage
	message, problem string
	changed          time.Time
	container        *taskContainer

	delay   *delayedStart // until it may start
	started []func()      // called once it runs or has ended
	ended   []func()      // called once it has ended
}

func (t *task) slot() slot {
	if t.fixed != nil {
		return slot{node: t.fixed.id}
	}
	return slot{number: t.number}
}

// goal is the stage that a task of its kind is to reach.
func (t *task) goal() stage {
	if t.iteration != nil {
		return stageComplete
	}
	return stageRunning
}

// wanted reports whether Swarm wants the task to come to its goal, now or after a delay.
func (t *task) wanted() bool { return t.desired <= t.goal() }

// newTask makes a task of what a service is now. It waits for its turn when it is to
// be prepared only.
func (e *Engine) newTask(s *service, number int, on *node, desired stage) *task {
	t := &task{
		id: e.newID("task", s.id), service: s, serviceName: s.spec.Name, labels: s.spec.Labels, number: number, fixed: on, node: on,
		spec: &s.spec.TaskTemplate, endpoint: s.spec.EndpointSpec, specVersion: s.specVersion,
		version: e.nextVersion(), created: e.now(), updated: e.now(), changed: e.now(),
		stage: stageNew, desired: desired, message: "created",
	}
	if s.job() {
		t.iteration = &swarm.Version{Index: s.iteration}
	}
	e.tasks[t.id] = t
	s.tasks = append(s.tasks, t)
	e.after(reaps, func() { e.reap(s, t.slot()) })
	e.after(schedules, func() { e.schedule(t) })
	return t
}

// set stores a task's new state, and lets the engine react to it.
func (e *Engine) set(t *task, to stage, message, problem string) {
	t.stage, t.message, t.problem = to, message, problem
	t.changed, t.updated, t.version = e.now(), e.now(), e.nextVersion()
	if to > stageRunning {
		e.over(t)
	}
	if to >= stageRunning {
		call(&t.started)
	}
	if t.desired == stageRemove {
		e.removeTaskSoon(t)
	}
}

// over reacts to the end of a task: the update that may have made it,
// the orchestrator, and what waits for its place. In this order, since a real engine
// restarts the task of an update that it rolls back with the spec of before.
func (e *Engine) over(t *task) {
	if t.service.updater != nil {
		t.service.updater.saw(t)
	}
	switch {
	case !t.wanted():
	case t.service.job():
		e.reconcileSoon(t.service)
	default:
		e.restart(t)
	}
	call(&t.ended)
	e.after(orchestrates, e.schedulePending)
}

// call calls functions once.
func call(functions *[]func()) {
	all := *functions
	*functions = nil
	for _, one := range all {
		one()
	}
}

// want changes what Swarm wants of a task; an earlier stage than before is not possible.
func (e *Engine) want(t *task, desired stage) {
	if t.desired >= desired {
		return
	}
	t.desired, t.updated, t.version = desired, e.now(), e.nextVersion()
	switch {
	case desired <= t.goal():
		if t.stage == stageReady {
			e.after(orchestrates, func() { e.startContainer(t) })
		}
	case t.stage >= stageAssigned && t.stage <= stageRunning:
		e.after(orchestrates, func() { e.stopTask(t) })
	case t.stage < stageAssigned && desired == stageShutdown:
		e.after(schedules, func() { e.unschedule(t) })
	}
	if desired == stageRemove {
		e.removeTaskSoon(t)
	}
}

// removeTaskSoon forgets a task that is to be removed, once it has ended or when it
// never got to a node.
func (e *Engine) removeTaskSoon(t *task) {
	if t.stage >= stageAssigned && t.stage <= stageRunning {
		return
	}
	e.after(reaps, func() { e.removeTask(t) })
}

// removeTask forgets a task. One that was to run is replaced.
func (e *Engine) removeTask(t *task) {
	delete(e.tasks, t.id)
	t.service.tasks = slices.DeleteFunc(t.service.tasks, func(one *task) bool { return one == t })
	if t.wanted() {
		e.reconcileSoon(t.service)
	}
}

// keptTasks is how many tasks of a slot Swarm keeps, those that have ended included.
const keptTasks = 5

// reap forgets the oldest tasks of a slot that have ended, beyond what Swarm keeps.
func (e *Engine) reap(s *service, in slot) {
	if s.job() {
		return
	}
	kept := keptTasks
	if policy := s.spec.TaskTemplate.RestartPolicy; policy != nil && policy.MaxAttempts != nil && *policy.MaxAttempts > 0 {
		kept = int(min(*policy.MaxAttempts, 1<<20)) + 1
	}
	all := s.inSlot(in)
	slices.SortStableFunc(all, func(a, b *task) int { return a.changed.Compare(b.changed) })
	for _, t := range all {
		if len(all) <= kept {
			return
		}
		if t.stage > stageRunning || t.stage < stageAssigned && t.desired > stageRunning {
			e.removeTask(t)
			kept++
		}
	}
}

// now is the time that objects are stamped with.
func (e *Engine) now() time.Time { return e.clock.Round(0).UTC() }
