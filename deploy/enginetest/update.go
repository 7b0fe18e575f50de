package enginetest

import (
	"cmp"
	"fmt"
	"reflect"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// monitorTime is Swarm's own of an update_config that gives none.
const monitorTime = 5 * time.Second

// updater brings the tasks of one service to one spec, slot after slot, and follows
// whether they stay: Swarm's own update loop.
type updater struct {
	engine  *Engine
	service *service
	goal    *swarm.ServiceSpec
	config  swarm.UpdateConfig
	monitor time.Duration
	back    bool // it undoes another update

	waiting [][]*task // slots that no worker has taken
	total   int       // slots that were to be updated
	busy    int       // workers
	handing bool      // slots wait, and failures are acted on at once
	heeding bool      // all slots are done, and failures are still acted on
	over    bool      // no slot is begun any more, and no failure acted on
	off     bool      // it is done, or another update has taken over

	made     map[*task]time.Time // tasks of this update, and when they ran; zero before
	failed   map[*task]bool
	unheeded []*task // tasks that ended while no failure was acted on
}

// update begins to bring slots to what the service is now, unless that is under way.
func (e *Engine) update(s *service, slots [][]*task) {
	if s.updater != nil {
		if reflect.DeepEqual(s.updater.goal, s.spec) {
			return
		}
		s.updater.cancel()
	}
	if s.inState(swarm.UpdateStatePaused, swarm.UpdateStateRollbackPaused) {
		return
	}
	u := &updater{engine: e, service: s, goal: s.spec, made: map[*task]time.Time{}, failed: map[*task]bool{}}
	for _, tasks := range slots {
		if len(tasks) > 1 || e.dirty(s, tasks[0]) {
			u.waiting = append(u.waiting, tasks)
		}
	}
	u.total = len(u.waiting)
	u.back = s.inState(swarm.UpdateStateRollbackStarted)
	if u.total == 0 {
		if u.back || s.inState(swarm.UpdateStateUpdating) {
			u.complete()
		}
		return
	}
	u.configure()
	s.updater = u
	if s.status == nil {
		e.setStatus(s, func(status *swarm.UpdateStatus) {
			started := e.now()
			status.State, status.Message, status.StartedAt = swarm.UpdateStateUpdating, "update in progress", &started
		})
	}
	u.handing = true
	e.after(orchestrates, u.hand) // the orchestrator sees the new status before the new tasks
}

// configure takes the settings of the update, or of the rollback, with Swarm's
// defaults.
func (u *updater) configure() {
	given := u.goal.UpdateConfig
	if u.back {
		given = u.goal.RollbackConfig
	}
	if given == nil {
		given = &swarm.UpdateConfig{Parallelism: 1, FailureAction: swarm.UpdateFailureActionPause, Order: swarm.UpdateOrderStopFirst}
	}
	u.config = *given
	u.monitor = cmp.Or(given.Monitor, monitorTime)
	if u.config.Parallelism == 0 {
		u.config.Parallelism = uint64(u.total)
	}
}

func (u *updater) cancel() {
	u.off = true
	if u.service.updater == u {
		u.service.updater = nil
	}
}

// hand gives slots to workers that have none. Once the last slot is done it follows
// the tasks for the monitor time.
func (u *updater) hand() {
	if u.off {
		return
	}
	if u.over {
		if u.busy == 0 {
			u.cancel()
		}
		return
	}
	for len(u.waiting) > 0 && uint64(u.busy) < u.config.Parallelism {
		tasks := u.waiting[0]
		u.waiting = u.waiting[1:]
		u.busy++
		u.replace(tasks)
	}
	if len(u.waiting) > 0 {
		return
	}
	u.handing = false
	if u.busy == 0 {
		u.follow()
	}
}

// follow waits for the monitor time, in which failures are still acted on.
func (u *updater) follow() {
	u.heeding = true
	for _, t := range u.unheeded {
		if u.heeding && !u.off {
			u.fail(t)
		}
	}
	wait := u.monitor
	if u.config.Delay >= wait && u.engine.atLeast(23) {
		wait = u.config.Delay + time.Second
	}
	u.engine.after(wait, u.complete)
}

// freed ends a worker's slot, after the delay between slots.
func (u *updater) freed() {
	next := func() {
		u.busy--
		u.hand()
	}
	if u.config.Delay > 0 {
		u.engine.after(u.config.Delay, next)
		return
	}
	next()
}

// replace updates one slot: with a task of the new spec that is there, or a new one.
func (u *updater) replace(tasks []*task) {
	e := u.engine
	var clean *task
	for _, t := range tasks {
		if t.desired > stageRunning || e.dirty(u.service, t) {
			continue
		}
		if clean = t; t.desired == stageRunning {
			break
		}
	}
	if clean == nil {
		u.make(tasks)
		return
	}
	var others []*task
	for _, t := range tasks {
		if t != clean {
			others = append(others, t)
		}
	}
	old := u.stop(others)
	if clean.desired == stageRunning {
		u.freed()
		return
	}
	e.delayStart(old, clean, 0, u.freed)
}

// make puts a new task in place of those of a slot.
func (u *updater) make(tasks []*task) {
	e := u.engine
	fresh := e.newTask(u.service, tasks[0].number, tasks[0].fixed, stageReady)
	u.made[fresh] = time.Time{}
	startFirst := u.config.Order == swarm.UpdateOrderStartFirst
	var old *task
	if !startFirst {
		old = u.stop(tasks)
	}
	e.delayStart(old, fresh, 0, func() {
		whenStarted(fresh, func() {
			if u.off {
				return
			}
			u.made[fresh] = e.clock
			if startFirst && fresh.stage == stageRunning {
				u.stop(tasks)
			}
			u.freed()
		})
	})
}

// whenStarted calls act once a task runs or has ended.
func whenStarted(t *task, act func()) {
	if t.stage >= stageRunning {
		act()
		return
	}
	t.started = append(t.started, act)
}

// stop shuts tasks down that Swarm wants, and gives one of them.
func (u *updater) stop(tasks []*task) *task {
	var stopped *task
	for _, t := range tasks {
		if t.desired <= stageRunning {
			u.engine.want(t, stageShutdown)
			stopped = t
		}
	}
	return stopped
}

// saw takes note of a task of the service that has ended.
func (u *updater) saw(t *task) {
	switch {
	case u.off || u.over || u.config.FailureAction == swarm.UpdateFailureActionContinue:
	case u.handing || u.heeding:
		u.fail(t)
	default:
		u.unheeded = append(u.unheeded, t)
	}
}

// fail acts on the end of a task that this update has made, when it came too early.
func (u *updater) fail(t *task) {
	ran, made := u.made[t]
	if !made || u.failed[t] || !ran.IsZero() && u.engine.clock.Sub(ran) > u.monitor {
		return
	}
	u.failed[t] = true
	if float32(len(u.failed))/float32(u.total) <= u.config.MaxFailureRatio {
		return
	}
	const why = "%s due to failure or early termination of task %s"
	switch {
	case u.config.FailureAction != swarm.UpdateFailureActionRollback:
		u.pause(fmt.Sprintf(why, "update paused", t.id))
		u.finish()
	case u.back: // Swarm pauses it, and then declares it complete all the same
		u.pause(fmt.Sprintf(why, "rollback paused", t.id))
		if u.heeding {
			u.complete()
			return
		}
		u.waiting = nil
		u.hand()
	default:
		u.rollBack(fmt.Sprintf(why, "update rolled back", t.id))
	}
}

func (u *updater) pause(message string) {
	if u.service.status == nil {
		return // the service was updated meanwhile
	}
	u.engine.setStatus(u.service, func(status *swarm.UpdateStatus) {
		if status.State == swarm.UpdateStateRollbackStarted {
			status.State = swarm.UpdateStateRollbackPaused
		} else {
			status.State = swarm.UpdateStatePaused
		}
		status.Message = message
	})
}

// finish ends the update once its workers are done.
func (u *updater) finish() {
	u.waiting, u.handing, u.heeding, u.over = nil, false, false, true
	u.hand()
}

// rollBack puts the previous spec back, whole, and leaves none behind it.
func (u *updater) rollBack(message string) {
	s, e := u.service, u.engine
	if s.status != nil && s.previous != nil {
		e.writeService(s, func() {
			status := *s.status
			status.State, status.Message = swarm.UpdateStateRollbackStarted, message
			s.status = &status
			s.spec, s.specVersion = s.previous, s.previousVersion
			s.previous, s.previousVersion = nil, 0
		})
	}
	u.finish()
}

// complete declares the update done.
func (u *updater) complete() {
	if u.off || u.over {
		return
	}
	u.cancel()
	if u.service.status == nil || u.service.removed {
		return
	}
	u.engine.setStatus(u.service, func(status *swarm.UpdateStatus) {
		if status.State == swarm.UpdateStateRollbackStarted {
			status.State, status.Message = swarm.UpdateStateRollbackCompleted, "rollback completed"
		} else {
			status.State, status.Message = swarm.UpdateStateCompleted, "update completed"
		}
		completed := u.engine.now()
		status.CompletedAt = &completed
	})
}
