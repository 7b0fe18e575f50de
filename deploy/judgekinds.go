package deploy

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// noSuchImage is how the engine begins when neither it nor the registry has one.
const noSuchImage = "No such image"

// wrongPlatform is how Swarm's scheduler says that an image does not run on a node.
const wrongPlatform = "unsupported platform"

// oneShotName is how one-shot services are named, as deployment.sh knew them.
var oneShotName = regexp.MustCompile(`migrate|test_setup`)

// oneShot tells whether a replicated service is there to end: by its name, and
// by a restart policy that lets it end.
func oneShot(stack string, spec swarm.ServiceSpec) bool {
	policy := spec.TaskTemplate.RestartPolicy
	if canonicalMode(spec.Mode).Replicated == nil || policy == nil {
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

	// Since the wait began, for what was not written just before it:
	ended    uint64 // by failure or otherwise
	rejected uint64
	absent   uint64 // rejected, for the image is not there
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
		if over(task) && !c.memory.old[task.ID] {
			one.ended++
		}
		if task.Status.State == swarm.TaskStateRejected && !c.memory.old[task.ID] {
			one.rejected++
			if strings.Contains(task.Status.Err, noSuchImage) {
				one.absent++
			}
		}
		slots[key] = one
	}
	return slots
}

// crashLimit is how many tasks of a slot may end before that is a crash loop.
func crashLimit(policy *swarm.RestartPolicy) uint64 {
	if policy != nil && policy.MaxAttempts != nil && *policy.MaxAttempts > 0 {
		return *policy.MaxAttempts + 1
	}
	return crashes
}

// hopeless tells why a slot whose last task has ended is waited for in vain, "" if it is not.
func (c *oneCase) hopeless(one slot, ended uint64) string {
	switch {
	case one.absent >= refusals:
		return "its image is not there"
	case one.rejected >= refusals:
		return "its node refuses the task"
	case ended >= crashLimit(c.service.Spec.TaskTemplate.RestartPolicy):
		return fmt.Sprintf("its tasks fail again and again (%d times)", ended)
	}
	return ""
}

// decideJob follows a job mode: as many completions as it declares.
func (c *oneCase) decideJob() {
	slots := c.slots()
	if c.service.Spec.Mode.GlobalJob != nil {
		maps.DeleteFunc(slots, func(_ slotKey, one slot) bool { return calledOff(one.latest) })
	}
	c.result.Want = uint64(len(slots))
	if job := canonicalMode(c.service.Spec.Mode).ReplicatedJob; job != nil {
		c.result.Want = *job.TotalCompletions
	}
	c.decideEnding(slots)
}

// calledOff tells whether Swarm has stopped a task before it ended, as it does on
// a node that is drained or gone.
func calledOff(task swarm.Task) bool {
	return !over(task) && !alive(task) && task.DesiredState != swarm.TaskStateComplete
}

// decideOneShot follows a replicated service whose tasks end.
func (c *oneCase) decideOneShot() {
	c.result.Want = replicas(c.service.Spec)
	c.decideEnding(c.slots())
}

func (c *oneCase) decideEnding(slots map[slotKey]slot) {
	why := ""
	policy := c.service.Spec.TaskTemplate.RestartPolicy
	for _, one := range slots {
		switch {
		case one.complete:
			c.result.Ready++
		case broken(one.latest) && givesUp(policy, one.latest, one.failures):
			why = max(why, "its task failed and is not started again")
		default:
			why = max(why, c.hopeless(one, one.failures))
		}
	}
	switch {
	case c.result.Ready >= c.result.Want && (len(slots) > 0 || c.result.Want == 0 && c.settled(defaultMonitor)):
		c.done()
	case why != "":
		c.fail("%s", why)
	default:
		c.wait("%d of %d tasks have completed", c.result.Ready, c.result.Want)
	}
}

// crashLoop ends the waiting for tasks that fail again and again, that a node
// refuses, and for images that are not there.
func (c *oneCase) crashLoop() {
	why := ""
	for _, one := range c.slots() {
		if one.latest.Status.State != swarm.TaskStateRunning || c.unsteady(one.latest) > 0 {
			why = max(why, c.hopeless(one, one.ended))
		}
	}
	if why != "" {
		c.fail("%s", why)
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
	case c.service.Spec.Mode.Global != nil && running == 0 && slices.ContainsFunc(c.current, c.misplaced):
		c.wait("no node has a platform of its image")
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
		if !alive(task) || c.misplaced(task) {
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

// misplaced tells whether a task of a global service is on a node that its image
// does not run on: Swarm makes it all the same, and never starts it.
func (c *oneCase) misplaced(task swarm.Task) bool {
	return c.service.Spec.Mode.Global != nil && task.Status.State == swarm.TaskStatePending && strings.Contains(task.Status.Err, wrongPlatform)
}

// alive tells whether a task runs or is to run, after a delay perhaps.
func alive(task swarm.Task) bool {
	return task.DesiredState == swarm.TaskStateRunning || task.DesiredState == swarm.TaskStateReady
}

func (c *oneCase) updating() bool {
	status := c.service.UpdateStatus
	return status != nil && (status.State == swarm.UpdateStateUpdating || status.State == swarm.UpdateStateRollbackStarted)
}

// unsteady gives how long a running task still has to be watched. That of a new
// service with a health check has not: Swarm calls a task running when it is
// healthy. An update is not done before its monitor time is over, whatever the
// health check says, and Swarm itself does not wait for that with the failure
// action continue. Clocks of other nodes may be wrong, so a task that claims to
// have run long must also be old by the managers' clock, and watching it long
// enough always does.
func (c *oneCase) unsteady(task swarm.Task) time.Duration {
	if checksHealth(c.service.Spec) && c.service.UpdateStatus == nil {
		return 0
	}
	now := c.memory.now()
	told := max(c.monitor()-now.Sub(task.Status.Timestamp), c.monitor()-now.Sub(task.CreatedAt))
	watched := c.monitor() - now.Sub(c.memory.running[task.ID])
	return min(told, watched)
}

func checksHealth(spec swarm.ServiceSpec) bool {
	container := spec.TaskTemplate.ContainerSpec
	return container != nil && container.Healthcheck != nil && len(container.Healthcheck.Test) > 0 && container.Healthcheck.Test[0] != "NONE"
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

// ended tells whether a task is over that the restart policy leaves so. A global
// service wants no more tasks than there are, so that each of its nodes is looked at.
func (c *oneCase) ended() bool {
	if wanted, _, _ := c.count(); wanted >= c.result.Want && c.service.Spec.Mode.Global == nil {
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
