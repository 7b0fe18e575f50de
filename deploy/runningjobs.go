package deploy

import (
	"context"
	"slices"

	"github.com/docker/docker/api/types/swarm"
)

// RunningJobs lists the services of a stack whose tasks end by themselves and that have
// a task which runs or starts, by full name, sorted. A task that waits for its restart
// does not count.
func (e *Engine) RunningJobs(ctx context.Context, stack string) ([]string, error) {
	live, tasks, err := e.reader.look(ctx, stack)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range keys(live) {
		if service := live[name]; endsByItself(stack, service.Spec) && slices.ContainsFunc(tasks[service.ID], runsNow) {
			names = append(names, name)
		}
	}
	return names, nil
}

func runsNow(task swarm.Task) bool {
	if task.NodeID == "" || task.DesiredState != swarm.TaskStateRunning && task.DesiredState != swarm.TaskStateComplete {
		return false
	}
	return slices.Contains([]swarm.TaskState{
		swarm.TaskStateAssigned, swarm.TaskStateAccepted, swarm.TaskStatePreparing, swarm.TaskStateReady, swarm.TaskStateStarting, swarm.TaskStateRunning,
	}, task.Status.State)
}
