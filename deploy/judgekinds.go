package deploy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/internal/lazyregexp"
)

// imageNotFound is the message of a service whose image a node neither has nor can pull.
const imageNotFound = "its image was not found"

// wrongPlatform begins the error of Swarm's scheduler about an image that does not run on
// a node.
const wrongPlatform = "unsupported platform"

// oneShotName matches the names of one-shot services. deployment.sh used the same names.
var oneShotName = lazyregexp.New(`migrate|test_setup`)

// oneShot tells whether the tasks of a replicated service end by themselves: by its
// name, and by a restart policy that lets them end.
func oneShot(stack string, spec swarm.ServiceSpec) bool {
	policy := spec.TaskTemplate.RestartPolicy
	if canonicalMode(spec.Mode).Replicated == nil || policy == nil {
		return false
	}
	return policy.Condition != swarm.RestartPolicyConditionAny && policy.Condition != "" &&
		oneShotName().MatchString(strings.TrimPrefix(spec.Name, stack+"_"))
}

// slot sums up the tasks of one replica (or of one node, for a global service).
type slot struct {
	latest   swarm.Task
	failures uint64
	complete bool

	// Without the failures from before the wait, if the service was not written:
	ended    uint64 // tasks that failed or completed
	rejected uint64
	absent   uint64 // tasks rejected because the image was not found
	stuck    bool   // its node fails to prepare the last task, and tries again
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
		if key == (slotKey{}) {
			continue // never assigned to a node: an engine may keep such a task forever
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
			if lacksImage(task) {
				one.absent++
			}
		}
		one.stuck = c.isStuck(task)
		slots[key] = one
	}
	return slots
}

// isStuck tells whether a node has failed for too long to prepare a task. If not yet, the
// next reading comes at that time.
func (c *oneCase) isStuck(task swarm.Task) bool {
	since, failing := c.memory.stuck[task.ID]
	if !failing || !alive(task) {
		return false
	}
	left := stuckFor - c.memory.now().Sub(since)
	c.sooner(left)
	return left <= 0
}

// lacksImage tells whether a task does not run because its node has no image for it. Every
// engine names the image in that error, in words of its own: No such image (20.10 to 28),
// failed to resolve reference (29).
func lacksImage(task swarm.Task) bool {
	state, spec := task.Status.State, task.Spec.ContainerSpec
	if state != swarm.TaskStateRejected && state != swarm.TaskStatePreparing || spec == nil {
		return false
	}
	named, err := reference.ParseNormalizedNamed(spec.Image)
	if err != nil {
		return false
	}
	name := reference.FamiliarName(named)
	return strings.Contains(task.Status.Err, name+":") || strings.Contains(task.Status.Err, name+"@")
}

// maxAttempts gives how many times the restart policy of a service restarts a task; 0 if
// it has no limit.
func maxAttempts(spec swarm.ServiceSpec) uint64 {
	policy := spec.TaskTemplate.RestartPolicy
	if policy == nil || policy.MaxAttempts == nil {
		return 0
	}
	return *policy.MaxAttempts
}

// givesUp tells whether the restart policy does not restart the last task of a slot, which
// has ended.
func (c *oneCase) givesUp(one slot) bool {
	policy, most := c.service.Spec.TaskTemplate.RestartPolicy, maxAttempts(c.service.Spec)
	switch {
	case policy == nil:
		return false
	case policy.Condition == swarm.RestartPolicyConditionNone,
		policy.Condition == swarm.RestartPolicyConditionOnFailure && one.latest.Status.State == swarm.TaskStateComplete:
		return true
	}
	return most > 0 && one.failures > most
}

// hopeless tells why a slot whose last task ended cannot become ready; "" if it can.
func (c *oneCase) hopeless(one slot, ended uint64) string {
	limit := uint64(crashes)
	if most := maxAttempts(c.service.Spec); most > 0 {
		limit = most + 1
	}
	switch {
	case one.absent >= refusals, one.stuck && lacksImage(one.latest):
		return imageNotFound
	case one.rejected >= refusals:
		return "its node rejects the task"
	case one.stuck:
		return "its node cannot prepare the task"
	case ended >= limit:
		return fmt.Sprintf("its tasks keep failing (%d times)", ended)
	}
	return ""
}

// calledOff tells whether Swarm stopped a task before it ended, as it does on a node
// that is drained or down.
func calledOff(task swarm.Task) bool {
	return !over(task) && !alive(task) && task.DesiredState != swarm.TaskStateComplete
}

// decideEnding judges a service whose tasks end by themselves: it needs as many completed
// tasks as it declares.
func (c *oneCase) decideEnding() {
	slots := c.slots()
	mode := canonicalMode(c.service.Spec.Mode)
	switch {
	case mode.GlobalJob != nil:
		maps.DeleteFunc(slots, func(_ slotKey, one slot) bool { return calledOff(one.latest) })
		c.result.Want = uint64(len(slots))
	case mode.ReplicatedJob != nil:
		c.result.Want = *mode.ReplicatedJob.TotalCompletions
	default:
		c.result.Want = replicas(c.service.Spec)
	}
	why := ""
	for _, one := range slots {
		switch {
		case one.complete:
			c.result.Ready++
		case broken(one.latest) && c.givesUp(one):
			why = max(why, "its task failed and is not restarted")
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

// crashLoop fails a service whose tasks keep failing or are rejected by a node, or whose
// image was not found.
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

// decideRunning judges a service whose tasks keep running.
func (c *oneCase) decideRunning() {
	wanted, running, steady := c.count()
	c.result.Ready, c.result.Want = running, wanted
	if c.service.Spec.Mode.Replicated != nil {
		c.result.Want = replicas(c.service.Spec)
	}
	switch {
	case c.updateFailed():
	case c.updating():
		c.wait("%d of %d tasks run; the update continues", running, c.result.Want)
	case c.stale, c.updatePending():
		c.wait("tasks of the previous spec still exist")
	case c.ended():
		c.fail("its task ended, and its restart policy does not restart it")
	case running != c.result.Want || wanted != c.result.Want:
		c.wait("%d of %d tasks run", running, c.result.Want)
	case steady != running:
		c.wait("%d of %d tasks run; waiting until the monitor time is over", running, c.result.Want)
	case c.service.Spec.Mode.Global != nil && running == 0 && slices.ContainsFunc(c.current, c.misplaced):
		c.wait("no node has the platform of its image")
	case c.service.Spec.Mode.Global != nil && running == 0 && !c.settled(c.monitor()):
		c.wait("no node runs a task yet")
	default:
		c.done()
	}
}

// count gives how many tasks of the current spec are to run, run, and have run for the
// monitor time.
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

// misplaced tells whether a task of a global service is on a node on which its image
// does not run: Swarm creates the task but never starts it.
func (c *oneCase) misplaced(task swarm.Task) bool {
	return c.service.Spec.Mode.Global != nil && task.Status.State == swarm.TaskStatePending && strings.Contains(task.Status.Err, wrongPlatform)
}

// alive tells whether a task runs or is to run, possibly after a delay.
func alive(task swarm.Task) bool {
	return task.DesiredState == swarm.TaskStateRunning || task.DesiredState == swarm.TaskStateReady
}

func (c *oneCase) updating() bool {
	status := c.service.UpdateStatus
	return status != nil && (status.State == swarm.UpdateStateUpdating || status.State == swarm.UpdateStateRollbackStarted)
}

// unsteady gives the rest of the monitor time of a running task. A new service with a
// health check has no monitor time: in Swarm such a task runs only when it is healthy.
// An update is not done before its monitor time is over, even with a health check; with
// the failure action continue, Swarm itself does not wait for it. The clock of another
// node may be wrong, so the time since the task's start counts only up to its age by the
// managers' clock. The time during which this process saw the task run always counts.
func (c *oneCase) unsteady(task swarm.Task) time.Duration {
	if checksHealth(c.service.Spec) && c.service.UpdateStatus == nil {
		return 0
	}
	now := c.memory.now()
	told := min(now.Sub(task.Status.Timestamp), now.Sub(task.CreatedAt))
	watched := now.Sub(c.memory.running[task.ID])
	return c.monitor() - max(told, watched)
}

func checksHealth(spec swarm.ServiceSpec) bool {
	check := containerOf(spec).Healthcheck
	return check != nil && len(check.Test) > 0 && check.Test[0] != "NONE"
}

func (c *oneCase) monitor() time.Duration {
	if update := c.service.Spec.UpdateConfig; update != nil && update.Monitor > 0 {
		return update.Monitor
	}
	return defaultMonitor
}

// settled tells whether the service has had its version for d. If not, the next reading
// comes at that time.
func (c *oneCase) settled(d time.Duration) bool {
	left := d - c.memory.now().Sub(c.seen.since)
	c.sooner(left)
	return left <= 0
}

func (c *oneCase) sooner(left time.Duration) {
	if left > 0 {
		c.again = min(c.again, left)
	}
}

// updatePending tells whether an endpoint or a placement was just changed and Swarm has not
// yet begun to replace the tasks: it notes the begin of an update after it took the spec. The
// specs of the tasks do not show these two changes.
func (c *oneCase) updatePending() bool {
	previous, now := c.service.PreviousSpec, c.service.Spec
	if previous == nil || c.service.UpdateStatus != nil {
		return false
	}
	moved := c.memory.replaced(c.service) && !reflect.DeepEqual(previous.TaskTemplate.Placement, now.TaskTemplate.Placement)
	return (moved || !reflect.DeepEqual(previous.EndpointSpec, now.EndpointSpec)) && !c.settled(slowLook)
}

// ended tells whether a task ended that the restart policy does not restart. The number
// of tasks does not show this for a global service, so each of its nodes is checked.
func (c *oneCase) ended() bool {
	if wanted, _, _ := c.count(); wanted >= c.result.Want && c.service.Spec.Mode.Global == nil {
		return false
	}
	for _, one := range c.slots() {
		if over(one.latest) && one.latest.DesiredState == swarm.TaskStateShutdown && c.givesUp(one) {
			return true
		}
	}
	return false
}
