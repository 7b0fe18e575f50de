package deploy

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

const (
	// defaultMonitor is Swarm's own default of update_config.monitor.
	defaultMonitor = 5 * time.Second
	// crashes is how many failed tasks of one spec make a crash loop.
	crashes = 3
)

// memory is what one Verify remembers between its looks.
type memory struct {
	changed map[string]bool
	now     func() time.Time

	started bool
	old     map[string]bool        // tasks that had failed, and updates that were paused, before the first look
	running map[string]time.Time   // since when tasks are seen running
	version map[string]seenVersion // since when services are seen as they are
}

type seenVersion struct {
	index uint64
	since time.Time
}

func newMemory(changed []string) *memory {
	m := &memory{
		changed: map[string]bool{}, now: time.Now,
		old: map[string]bool{}, running: map[string]time.Time{}, version: map[string]seenVersion{},
	}
	for _, name := range changed {
		m.changed[name] = true
	}
	return m
}

// judge says of every wanted service how it fares, and when to look again if
// nothing happens.
func (m *memory) judge(live *Live, tasks map[string][]swarm.Task, want *compose.Stack) (Result, time.Duration) {
	if !m.started {
		m.started = true
		m.rememberOld(live, tasks)
	}
	result, next := Result{Services: []ServiceResult{}}, slowLook
	for _, name := range keys(want.Services) {
		service, ok := live.Services[name]
		if !ok {
			result.Services = append(result.Services, ServiceResult{Name: name, State: Failed, Message: "it is gone: somebody removed it"})
			continue
		}
		m.see(service, tasks[service.ID])
		c := newCase(m, service, tasks[service.ID], want)
		c.decide()
		result.Services = append(result.Services, c.result)
		if c.again > 0 {
			next = min(next, c.again)
		}
	}
	return result, next
}

// rememberOld notes what had gone wrong with services that nobody has written
// now: it is history.
func (m *memory) rememberOld(live *Live, tasks map[string][]swarm.Task) {
	for name, service := range live.Services {
		if m.changed[name] {
			continue
		}
		if service.UpdateStatus != nil && service.UpdateStatus.State == swarm.UpdateStatePaused {
			m.old[service.ID] = true
		}
		for _, task := range tasks[service.ID] {
			if broken(task) {
				m.old[task.ID] = true
			}
		}
	}
}

func (m *memory) see(service swarm.Service, tasks []swarm.Task) {
	if m.version[service.ID].index != service.Version.Index {
		m.version[service.ID] = seenVersion{service.Version.Index, m.now()}
	}
	for _, task := range tasks {
		if task.Status.State != swarm.TaskStateRunning {
			delete(m.running, task.ID)
		} else if _, ok := m.running[task.ID]; !ok {
			m.running[task.ID] = m.now()
		}
	}
}

func broken(task swarm.Task) bool {
	return task.Status.State == swarm.TaskStateFailed || task.Status.State == swarm.TaskStateRejected
}

// oneCase is the judgement of one service at one look.
type oneCase struct {
	memory  *memory
	service swarm.Service
	want    swarm.ServiceSpec
	stack   string
	result  ServiceResult
	again   time.Duration

	current, previous []swarm.Task // by their spec, oldest first
	stale             bool         // tasks of another spec are still to run
}

func newCase(m *memory, service swarm.Service, tasks []swarm.Task, want *compose.Stack) *oneCase {
	c := &oneCase{
		memory: m, service: service, want: want.Services[service.Spec.Name], stack: want.Name,
		result: ServiceResult{Name: service.Spec.Name, State: Pending},
	}
	tasks = slices.Clone(tasks)
	slices.SortFunc(tasks, func(a, b swarm.Task) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for _, task := range tasks {
		switch {
		case ofCurrentSpec(service, task):
			c.current = append(c.current, task)
			continue
		case task.DesiredState == swarm.TaskStateRunning:
			c.stale = true
		}
		c.previous = append(c.previous, task)
	}
	c.rememberTrouble(c.current)
	return c
}

// ofCurrentSpec tells whether a task was made from what the service is now. Swarm
// keeps tasks whose placement still holds.
func ofCurrentSpec(service swarm.Service, task swarm.Task) bool {
	if service.JobStatus != nil {
		return task.JobIteration != nil && task.JobIteration.Index == service.JobStatus.JobIteration.Index
	}
	of, is := task.Spec, service.Spec.TaskTemplate
	of.Placement, is.Placement = nil, nil
	if of.Runtime == "" {
		of.Runtime = swarm.RuntimeContainer
	}
	if is.Runtime == "" {
		is.Runtime = swarm.RuntimeContainer
	}
	return reflect.DeepEqual(of, is)
}

// rememberTrouble keeps the last task error for the result.
func (c *oneCase) rememberTrouble(tasks []swarm.Task) {
	for _, task := range tasks {
		if task.Status.Err == "" || c.memory.old[task.ID] && task.DesiredState != swarm.TaskStateRunning {
			continue
		}
		c.result.Error, c.result.task, c.result.node = task.Status.Err, task.ID, task.NodeID
		c.result.ExitCode = 0
		if task.Status.ContainerStatus != nil {
			c.result.ExitCode = task.Status.ContainerStatus.ExitCode
		}
	}
}

func (c *oneCase) decide() {
	switch {
	case c.updateFailed():
	case isJob(c.service.Spec.Mode):
		c.decideJob()
	case oneShot(c.stack, c.service.Spec):
		c.decideOneShot()
	default:
		c.decideRunning()
		if c.result.State == Pending {
			c.crashLoop()
		}
	}
}

func (c *oneCase) fail(format string, args ...any) {
	c.result.State, c.result.Message = Failed, fmt.Sprintf(format, args...)
}

func (c *oneCase) wait(format string, args ...any) {
	c.result.State, c.result.Message = Pending, fmt.Sprintf(format, args...)
}

func (c *oneCase) done() {
	c.result.State, c.result.Message = Converged, ""
	c.result.Error, c.result.ExitCode, c.result.task, c.result.node = "", 0, "", ""
}

// updateFailed reads Swarm's own verdict. A rollback to the very spec that is
// wanted is an old story; and Swarm takes a one-shot task that has ended for one
// that died early, and pauses the update: there the tasks' own outcome counts.
func (c *oneCase) updateFailed() bool {
	status := c.service.UpdateStatus
	if status == nil {
		return false
	}
	switch status.State {
	case swarm.UpdateStatePaused:
		if c.memory.old[c.service.ID] || oneShot(c.stack, c.service.Spec) {
			return false
		}
		c.swarmGaveUp("Swarm paused the update", status.Message)
	case swarm.UpdateStateRollbackStarted, swarm.UpdateStateRollbackPaused, swarm.UpdateStateRollbackCompleted:
		if status.State != swarm.UpdateStateRollbackPaused && !c.differs() {
			return false
		}
		c.rememberTrouble(c.previous) // what failed is no longer the current spec
		c.swarmGaveUp("Swarm rolled the update back", status.Message)
	case swarm.UpdateStateUpdating, swarm.UpdateStateCompleted:
		return false
	default:
		return false
	}
	return true
}

// swarmGaveUp adds Swarm's own words only when the task has none: they name
// nothing but a task by its ID.
func (c *oneCase) swarmGaveUp(what, message string) {
	if c.result.Error == "" {
		what += ": " + message
	}
	c.fail("%s", what)
}

// differs tells whether the live task template is another than the wanted one.
// Network names are left out: a rollback of networks alone shows in the plan.
func (c *oneCase) differs() bool {
	live, want := c.service.Spec, c.want
	live.TaskTemplate.Networks, want.TaskTemplate.Networks = nil, nil
	return len(serviceChanges(live, want, itself)) > 0
}
