package deploy

import (
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// noSuchImage is how the engine begins when neither it nor the registry has one.
const noSuchImage = "No such image"

// oneShotName is how one-shot services are named, as deployment.sh knew them.
var oneShotName = regexp.MustCompile(`migrate|test_setup`)

// oneShot tells whether a replicated service is there to end: by its name, and
// by a restart policy that lets it end.
func oneShot(stack string, spec swarm.ServiceSpec) bool {
	policy := spec.TaskTemplate.RestartPolicy
	if spec.Mode.Replicated == nil || policy == nil {
		return false
	}
	return policy.Condition != swarm.RestartPolicyConditionAny && policy.Condition != "" &&
		oneShotName.MatchString(strings.TrimPrefix(spec.Name, stack+"_"))
}

// givesUp tells whether the restart policy leaves a task that has ended ended,
// after so many failures in its slot.
func givesUp(policy *swarm.RestartPolicy, task swarm.Task, failures uint64) bool {
	if policy == nil {
		return false
	}
	switch {
	case policy.Condition == swarm.RestartPolicyConditionNone:
		return true
	case policy.Condition == swarm.RestartPolicyConditionOnFailure && task.Status.State == swarm.TaskStateComplete:
		return true
	}
	return policy.MaxAttempts != nil && *policy.MaxAttempts > 0 && failures > *policy.MaxAttempts
}

// slot is what the tasks of one replica (or one node, of global services) say.
type slot struct {
	latest   swarm.Task
	failures uint64
	complete bool
}

type slotKey struct {
	number int
	node   string
}

func (c *oneCase) slots() map[slotKey]slot {
	slots := map[slotKey]slot{}
	for _, task := range c.current {
		key := slotKey{number: task.Slot}
		if task.Slot == 0 {
			key.node = task.NodeID
		}
		if task.Slot == 0 && task.NodeID == "" {
			continue // never assigned to a node: an engine may keep such tasks for ever
		}
		one := slots[key]
		one.latest = task
		one.complete = one.complete || task.Status.State == swarm.TaskStateComplete
		if broken(task) {
			one.failures++
		}
		slots[key] = one
	}
	return slots
}

// decideJob follows a job mode: as many completions as it declares.
func (c *oneCase) decideJob() {
	slots := c.slots()
	c.result.Want = uint64(len(slots))
	if job := canonicalMode(c.service.Spec.Mode).ReplicatedJob; job != nil {
		c.result.Want = *job.TotalCompletions
	}
	c.decideEnding(slots)
}

// decideOneShot follows a replicated service whose tasks end.
func (c *oneCase) decideOneShot() {
	c.result.Want = replicas(c.service.Spec)
	c.decideEnding(c.slots())
}

func (c *oneCase) decideEnding(slots map[slotKey]slot) {
	var failed uint64
	gaveUp := false
	policy := c.service.Spec.TaskTemplate.RestartPolicy
	for _, one := range slots {
		if one.complete {
			c.result.Ready++
			continue
		}
		failed += one.failures
		gaveUp = gaveUp || broken(one.latest) && givesUp(policy, one.latest, one.failures)
	}
	limit := uint64(crashes)
	if policy != nil && policy.MaxAttempts != nil && *policy.MaxAttempts > 0 {
		limit = *policy.MaxAttempts + 1
	}
	switch {
	case c.result.Ready >= c.result.Want && (len(slots) > 0 || c.result.Want == 0 && c.settled(defaultMonitor)):
		c.done()
	case gaveUp, failed >= limit:
		c.fail("its task failed and is not started again")
	default:
		c.wait("%d of %d tasks have completed", c.result.Ready, c.result.Want)
	}
}

// crashLoop ends the waiting for tasks that fail again and again, and for images
// that are not there.
func (c *oneCase) crashLoop() {
	failures, absent := 0, 0
	for _, task := range c.current {
		if !broken(task) || c.memory.old[task.ID] {
			continue
		}
		failures++
		if task.Status.State == swarm.TaskStateRejected && strings.Contains(task.Status.Err, noSuchImage) {
			absent++
		}
	}
	switch {
	case absent >= 2:
		c.fail("its image is not there")
	case failures >= crashes:
		c.fail("its tasks fail again and again (%d times)", failures)
	}
}

// decideRunning follows a service whose tasks run on.
func (c *oneCase) decideRunning() {
	wanted, running, steady := c.count()
	c.result.Ready, c.result.Want = running, wanted
	if c.service.Spec.Mode.Replicated != nil {
		c.result.Want = replicas(c.service.Spec)
	}
	switch {
	case c.updating():
		c.wait("%d of %d tasks run; the update goes on", running, c.result.Want)
	case c.stale, c.endpointPending():
		c.wait("tasks of the previous spec are still there")
	case c.ended():
		c.fail("its task has ended and its restart policy does not start it again")
	case running != c.result.Want || wanted != c.result.Want:
		c.wait("%d of %d tasks run", running, c.result.Want)
	case steady != running:
		c.wait("%d of %d tasks run; watching whether they stay", running, c.result.Want)
	case c.service.Spec.Mode.Global != nil && running == 0 && !c.settled(c.monitor()):
		c.wait("no node runs it so far")
	default:
		c.done()
	}
}

// count gives how many tasks of the current spec are there to run, do run, and
// have been running long enough.
func (c *oneCase) count() (wanted, running, steady uint64) {
	for _, task := range c.current {
		if !alive(task) {
			continue
		}
		wanted++
		if task.DesiredState != swarm.TaskStateRunning || task.Status.State != swarm.TaskStateRunning {
			continue
		}
		running++
		if left := c.unsteady(task); left > 0 {
			c.sooner(left)
		} else {
			steady++
		}
	}
	return wanted, running, steady
}

// alive tells whether a task runs or is to run, after a delay perhaps.
func alive(task swarm.Task) bool {
	return task.DesiredState == swarm.TaskStateRunning || task.DesiredState == swarm.TaskStateReady
}

func (c *oneCase) updating() bool {
	status := c.service.UpdateStatus
	return status != nil && (status.State == swarm.UpdateStateUpdating || status.State == swarm.UpdateStateRollbackStarted)
}

// unsteady gives how long a running task still has to be watched. With a health
// check it is not: Swarm calls a task running when it is healthy. Clocks of other
// nodes may be wrong, so a task that claims to have run long must also be old by
// the managers' clock, and watching it long enough always does.
func (c *oneCase) unsteady(task swarm.Task) time.Duration {
	container := c.service.Spec.TaskTemplate.ContainerSpec
	if container != nil && container.Healthcheck != nil && len(container.Healthcheck.Test) > 0 && container.Healthcheck.Test[0] != "NONE" {
		return 0
	}
	now := c.memory.now()
	told := max(c.monitor()-now.Sub(task.Status.Timestamp), c.monitor()-now.Sub(task.CreatedAt))
	watched := c.monitor() - now.Sub(c.memory.running[task.ID])
	return min(told, watched)
}

func (c *oneCase) monitor() time.Duration {
	if update := c.service.Spec.UpdateConfig; update != nil && update.Monitor > 0 {
		return update.Monitor
	}
	return defaultMonitor
}

// settled tells whether the service has been as it is for d; else it asks to be
// looked at again then.
func (c *oneCase) settled(d time.Duration) bool {
	left := d - c.memory.now().Sub(c.memory.version[c.service.ID].since)
	c.sooner(left)
	return left <= 0
}

func (c *oneCase) sooner(left time.Duration) {
	if left > 0 && (c.again == 0 || left < c.again) {
		c.again = left
	}
}

// endpointPending bridges the moment between the write of another endpoint and
// Swarm's beginning to replace tasks for it: their spec does not show it.
func (c *oneCase) endpointPending() bool {
	previous := c.service.PreviousSpec
	if previous == nil || c.service.UpdateStatus != nil || reflect.DeepEqual(previous.EndpointSpec, c.service.Spec.EndpointSpec) {
		return false
	}
	return !c.settled(slowLook)
}

// ended tells whether a task is over that the restart policy leaves so.
func (c *oneCase) ended() bool {
	if wanted, _, _ := c.count(); wanted >= c.result.Want {
		return false
	}
	policy := c.service.Spec.TaskTemplate.RestartPolicy
	for _, one := range c.slots() {
		over := broken(one.latest) || one.latest.Status.State == swarm.TaskStateComplete
		if over && one.latest.DesiredState == swarm.TaskStateShutdown && givesUp(policy, one.latest, one.failures) {
			return true
		}
	}
	return false
}
