package deploy

import (
	"context"
	"sync"

	"github.com/docker/docker/api/types/swarm"
)

// followTasks follows the present tasks of a service and those that come, until ctx ends. A
// stream that ends while its task goes on is opened again, after the last line that was read.
func followTasks(ctx context.Context, e *Engine, service string, logs *logReader, lines chan<- LogLine) {
	var all sync.WaitGroup
	defer all.Wait()
	var followed sync.Map // the tasks whose streams are open, or have ended with the task
	for {
		tasks, _ := loggedTasks(ctx, e, service, logs.options.Failed) // an engine that is away comes back
		for _, task := range tasks {
			if _, already := followed.LoadOrStore(task.ID, true); already {
				continue
			}
			all.Go(func() {
				logs.follow(ctx, task, lines)
				if !over(task) && task.Status.State != swarm.TaskStateShutdown {
					followed.Delete(task.ID)
				}
			})
		}
		if !pause(ctx, taskEvery) {
			return
		}
	}
}

// follow gives the lines of a task to the end of its stream, and notes once why it broke.
func (l *logReader) follow(ctx context.Context, task swarm.Task, lines chan<- LogLine) {
	give := func(line LogLine) {
		select {
		case lines <- line:
		case <-ctx.Done():
		}
	}
	err := l.read(ctx, task, true, func(line LogLine) {
		give(line)
		l.saw(task, line)
	})
	if ctx.Err() == nil && l.changed(task, err) && err != nil {
		give(note(task, "its lines cannot be read: "+err.Error()))
	}
}

// changed reports whether the lines of a task cannot be read for another reason than before.
func (l *logReader) changed(task swarm.Task, err error) bool {
	why := ""
	if err != nil {
		why = err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.told[task.ID]
	l.told[task.ID] = why
	return why != before
}
