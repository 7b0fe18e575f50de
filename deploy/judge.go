package deploy

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

const (
	// defaultMonitor is Swarm's own default of update_config.monitor.
	defaultMonitor = 5 * time.Second
	// crashes is how many tasks of one replica (or node) end before this is a crash
	// loop, unless max_attempts of the restart policy is larger.
	crashes = 3
	// refusals is how many times a node rejects a task before the service has failed:
	// one rejection may have a cause that is over soon.
	refusals = 2
	// stuckFor is how long a node tries again to prepare a task before the service has
	// failed. Engine 29 tries each second without end when it cannot reach a registry;
	// earlier engines reject such a task, and the next one follows after five seconds.
	stuckFor = 10 * time.Second
	// tooLate begins the message of a service whose timeout is over.
	tooLate = "not done within "
)

// memory is what one Verify remembers between two readings of the engine.
type memory struct {
	options VerifyOptions
	now     func() time.Time

	began    time.Time            // when the wait began; zero before the first reading
	old      map[string]bool      // tasks that had failed, and updates that were paused, before the first reading
	running  map[string]time.Time // since when a task is seen running
	stuck    map[string]time.Time // since when its node is seen to fail to prepare a task, and to try again
	services map[string]*watched  // by ID
}

// watched is what a memory holds of one service.
type watched struct {
	version uint64
	since   time.Time             // since when the service has its version
	ended   map[string]swarm.Task // ended tasks by ID; Swarm deletes them
	state   State                 // as last judged
	seconds float64               // after how long it converged or failed
}

func newMemory(opts VerifyOptions) *memory {
	return &memory{
		options: opts, now: time.Now,
		old: map[string]bool{}, running: map[string]time.Time{}, stuck: map[string]time.Time{}, services: map[string]*watched{},
	}
}

// judge gives the state of every wanted service, and the time until the next reading if
// no event comes.
func (m *memory) judge(live LiveServices, tasks map[string][]swarm.Task, want *compose.Stack) (Result, time.Duration) {
	if m.began.IsZero() {
		m.began = m.now()
		m.rememberOld(live, tasks)
	}
	result, next := Result{Services: []ServiceResult{}}, slowLook
	for _, name := range keys(want.Services) {
		service, ok := live[name]
		if !ok {
			result.Services = append(result.Services, ServiceResult{Name: name, State: Failed, Message: "the service was removed"})
			continue
		}
		c := newCase(m, service, tasks[service.ID], want)
		c.decide()
		c.clock()
		result.Services = append(result.Services, c.result)
		next = min(next, c.again)
	}
	return result, next
}

// rememberOld notes the failures of services whose tasks are not replaced now, so that they
// do not count.
func (m *memory) rememberOld(live LiveServices, tasks map[string][]swarm.Task) {
	for _, service := range live {
		if m.replaced(service) {
			continue
		}
		m.old[service.ID] = paused(service)
		for _, task := range tasks[service.ID] {
			m.old[task.ID] = broken(task)
		}
	}
}

// replaced tells whether the service was written now, and its tasks are replaced by that.
func (m *memory) replaced(service swarm.Service) bool {
	before, now := service.PreviousSpec, service.Spec
	return slices.Contains(m.options.Changed, now.Name) &&
		(before == nil || !reflect.DeepEqual(before.TaskTemplate, now.TaskTemplate) || !reflect.DeepEqual(before.EndpointSpec, now.EndpointSpec))
}

// earlier tells whether a task ended before the engine began with the spec that was written
// now: its outcome is that of an earlier rollout, even one of the same spec.
func (m *memory) earlier(service swarm.Service, task swarm.Task) bool {
	return over(task) && m.replaced(service) && task.CreatedAt.Before(taken(service))
}

// taken gives the time, by the managers' clock, at which the engine took the spec of a
// service. An update of the spec clears the state of the update before it.
func taken(service swarm.Service) time.Time {
	switch status := service.UpdateStatus; {
	case service.PreviousSpec == nil:
		return service.CreatedAt
	case status != nil && status.StartedAt != nil:
		return *status.StartedAt
	}
	return service.UpdatedAt
}

// see notes what a reading shows of a service. It gives the tasks together with the ended
// tasks that Swarm has deleted since, the oldest first.
func (m *memory) see(service swarm.Service, tasks []swarm.Task) (*watched, []swarm.Task) {
	seen := m.services[service.ID]
	if seen == nil {
		seen = &watched{ended: map[string]swarm.Task{}}
		m.services[service.ID] = seen
	}
	if seen.version != service.Version.Index {
		seen.version, seen.since = service.Version.Index, m.now()
	}
	deleted := maps.Clone(seen.ended)
	for _, task := range tasks {
		delete(deleted, task.ID)
		if over(task) {
			seen.ended[task.ID] = task
		}
		m.since(m.running, task.ID, task.Status.State == swarm.TaskStateRunning)
		m.since(m.stuck, task.ID, task.Status.State == swarm.TaskStatePreparing && task.Status.Err != "")
	}
	all := slices.AppendSeq(slices.Clone(tasks), maps.Values(deleted))
	slices.SortFunc(all, func(a, b swarm.Task) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return seen, all
}

// since notes since when something is seen of a task.
func (m *memory) since(times map[string]time.Time, task string, seen bool) {
	if !seen {
		delete(times, task)
	} else if _, known := times[task]; !known {
		times[task] = m.now()
	}
}

// paused tells whether Swarm has given up to update a service.
func paused(service swarm.Service) bool {
	status := service.UpdateStatus
	return status != nil && (status.State == swarm.UpdateStatePaused || status.State == swarm.UpdateStateRollbackPaused)
}

func broken(task swarm.Task) bool {
	return task.Status.State == swarm.TaskStateFailed || task.Status.State == swarm.TaskStateRejected
}

// over tells whether a task ended by itself.
func over(task swarm.Task) bool { return broken(task) || task.Status.State == swarm.TaskStateComplete }

// oneCase is the judgement of one service at one reading.
type oneCase struct {
	memory  *memory
	seen    *watched
	service swarm.Service
	want    swarm.ServiceSpec
	stack   string
	result  ServiceResult
	again   time.Duration // until the next reading

	current, previous []swarm.Task // tasks of the current spec and of previous ones, oldest first
	stale             bool         // a task of a previous spec is still to run
}

func newCase(m *memory, service swarm.Service, tasks []swarm.Task, want *compose.Stack) *oneCase {
	seen, tasks := m.see(service, tasks)
	c := &oneCase{
		memory: m, seen: seen, service: service, want: keep(want, service.Spec.Name, service.Spec), stack: want.Name,
		result: ServiceResult{Name: service.Spec.Name, State: Pending}, again: slowLook,
	}
	for _, task := range tasks {
		if ofCurrentSpec(service, task) && !m.earlier(service, task) {
			c.current = append(c.current, task)
			continue
		}
		c.previous = append(c.previous, task)
		c.stale = c.stale || task.DesiredState == swarm.TaskStateRunning
	}
	c.result.job = endsByItself(want.Name, service.Spec)
	c.rememberError(c.current)
	return c
}

// ofCurrentSpec tells whether a task has the current spec of its service. A different
// placement does not count: Swarm keeps tasks that still meet it.
func ofCurrentSpec(service swarm.Service, task swarm.Task) bool {
	if service.JobStatus != nil {
		return task.JobIteration != nil && task.JobIteration.Index == service.JobStatus.JobIteration.Index
	}
	of, is := task.Spec, service.Spec.TaskTemplate
	of.Placement, is.Placement = nil, nil
	of.Runtime = cmp.Or(of.Runtime, swarm.RuntimeContainer)
	is.Runtime = cmp.Or(is.Runtime, swarm.RuntimeContainer)
	return reflect.DeepEqual(of, is)
}

// rememberError keeps the last error of the tasks for the result.
func (c *oneCase) rememberError(tasks []swarm.Task) {
	for _, task := range tasks {
		if task.Status.Err == "" || c.memory.old[task.ID] && task.DesiredState != swarm.TaskStateRunning {
			if c.result.Error == "" {
				c.about(task)
			}
			continue
		}
		c.result.Error = task.Status.Err
		c.about(task)
	}
}

// about makes a task the one that the result describes.
func (c *oneCase) about(task swarm.Task) {
	c.result.task, c.result.node, c.result.ExitCode, c.result.container = task.ID, task.NodeID, 0, ""
	c.result.lacksImage, c.result.spec = lacksImage(task), task.Spec
	if status := task.Status.ContainerStatus; status != nil {
		c.result.ExitCode, c.result.container = status.ExitCode, status.ContainerID
	}
}

func (c *oneCase) decide() {
	switch {
	case c.result.job && c.updateFailed():
	case c.result.job:
		c.decideEnding()
	default:
		c.decideRunning()
		if c.result.State == Pending {
			c.crashLoop()
		}
	}
}

// clock fails a service whose timeout is over, and notes how long a service took.
func (c *oneCase) clock() {
	timeout := c.memory.options.Timeout
	if own := compose.Timeout(c.want.Labels); own > 0 {
		timeout = own
	}
	waited := c.memory.now().Sub(c.memory.began)
	if c.result.State == Pending && waited >= timeout {
		c.fail(tooLate+"%s: %s", timeout, c.result.Message)
	}
	if c.seen.state != c.result.State {
		c.seen.state, c.seen.seconds = c.result.State, waited.Round(time.Millisecond).Seconds()
	}
	if c.result.State == Pending {
		c.sooner(timeout - waited)
		return
	}
	c.result.Seconds = c.seen.seconds
}

func (c *oneCase) fail(format string, args ...any) {
	c.result.State, c.result.Message = Failed, fmt.Sprintf(format, args...)
}

func (c *oneCase) wait(format string, args ...any) {
	c.result.State, c.result.Message = Pending, fmt.Sprintf(format, args...)
}

func (c *oneCase) done() {
	was := c.result
	c.result = ServiceResult{Name: was.Name, State: Converged, Ready: was.Ready, Want: was.Want, job: was.job}
}

// updateFailed reads the state of the update in Swarm. Three states do not count:
//   - a rollback to the wanted spec;
//   - a pause from before the wait, unless tasks of another spec are left, which Swarm
//     does not replace;
//   - a pause of a one-shot service: Swarm treats its ended task as failed. The result of
//     its tasks counts instead.
func (c *oneCase) updateFailed() bool {
	status := c.service.UpdateStatus
	if status == nil {
		return false
	}
	before := c.memory.old[c.service.ID] && !c.stale
	what := ""
	switch status.State { //nolint:exhaustive // the others are no failures
	case swarm.UpdateStatePaused:
		if !before && !oneShot(c.stack, c.service.Spec) {
			what = "Swarm paused the update"
		}
	case swarm.UpdateStateRollbackStarted, swarm.UpdateStateRollbackCompleted:
		if c.differs() {
			what = "Swarm rolled the update back"
			c.rememberError(c.previous) // the failed spec is not the current one any more
		}
	case swarm.UpdateStateRollbackPaused:
		if !before || c.differs() {
			what = "Swarm rolled the update back and paused the rollback: the old spec fails as well"
			if c.result.Error == "" {
				c.rememberError(c.previous)
			}
		}
	}
	if what == "" {
		return false
	}
	switch {
	case c.result.Error == "": // Swarm's message names only a task ID
		what += ": " + status.Message
	case c.result.lacksImage:
		what = imageNotFound + "; " + what
	}
	c.fail("%s", what)
	return true
}

// differs tells whether the live spec differs from the wanted one. Networks are left
// out; the next plan shows them.
func (c *oneCase) differs() bool {
	live, want := c.service.Spec, c.want
	live.TaskTemplate.Networks, want.TaskTemplate.Networks = nil, nil
	return len(serviceChanges(live, want)) > 0
}
