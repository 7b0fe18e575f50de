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
	observed, tasks, err := e.reader.look(ctx, stack)
	if err != nil {
		return nil, err
	}
	live := observed.Services
	return slices.DeleteFunc(keys(live), func(name string) bool {
		return !endsByItself(stack, live[name].Spec) || !slices.ContainsFunc(tasks[live[name].ID], runsNow)
	}), nil
}

func runsNow(task swarm.Task) bool {
	if task.NodeID == "" || task.DesiredState != swarm.TaskStateRunning && task.DesiredState != swarm.TaskStateComplete {
		return false
	}
	return slices.Contains([]swarm.TaskState{
		swarm.TaskStateAssigned, swarm.TaskStateAccepted, swarm.TaskStatePreparing, swarm.TaskStateReady, swarm.TaskStateStarting, swarm.TaskStateRunning,
	}, task.Status.State)
}
