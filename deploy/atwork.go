package deploy

import (
	"context"
	"slices"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// AtWork lists the services of a stack that are there to end and have not: a task of
// theirs runs, or is about to. By full name, sorted. A task that waits for its turn to
// be started again does not count.
func (e *Engine) AtWork(ctx context.Context, stack string) ([]string, error) {
	live, tasks, err := e.look(ctx, &compose.Stack{Name: stack})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range keys(live.Services) {
		if service := live.Services[name]; endsByItself(stack, service.Spec) && slices.ContainsFunc(tasks[service.ID], atWork) {
			names = append(names, name)
		}
	}
	return names, nil
}

func atWork(task swarm.Task) bool {
	if task.NodeID == "" || task.DesiredState != swarm.TaskStateRunning && task.DesiredState != swarm.TaskStateComplete {
		return false
	}
	return slices.Contains([]swarm.TaskState{
		swarm.TaskStateAssigned, swarm.TaskStateAccepted, swarm.TaskStatePreparing, swarm.TaskStateReady, swarm.TaskStateStarting, swarm.TaskStateRunning,
	}, task.Status.State)
}
