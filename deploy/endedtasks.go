package deploy

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// EndedTask is a task that ended by itself.
type EndedTask struct {
	ID       string
	At       time.Time
	ExitCode int
	Error    string // the engine's words
}

// Ended lists the tasks of a stack's services that ended by themselves, by the services'
// full names. It takes one call. Swarm keeps the last five tasks of each replica, unless it
// is told otherwise.
func (e *Engine) Ended(ctx context.Context, live *LiveServices) (map[string][]EndedTask, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	tasks, err := e.reader.tasks(ctx, stackLabel(live.Stack))
	if err != nil {
		return nil, err
	}
	ended := map[string][]EndedTask{}
	for name, service := range live.Services {
		for _, task := range tasks[service.ID] {
			if over(task) {
				ended[name] = append(ended[name], endedTask(task))
			}
		}
	}
	return ended, nil
}

func endedTask(task swarm.Task) EndedTask {
	ended := EndedTask{ID: task.ID, At: task.Status.Timestamp, Error: task.Status.Err}
	if container := task.Status.ContainerStatus; container != nil {
		ended.ExitCode = container.ExitCode
	}
	return ended
}
