package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
)

// Jobs are the services of a stack whose tasks end by themselves and that work or are to work,
// by full name, sorted.
type Jobs struct {
	Running []string // a task runs or starts
	Due     []string // no task runs, and Swarm starts one later, as after a failure. StopJobs prevents that
	Lasting []string // likewise, of a job mode: any write would run the job, so it cannot be stopped
}

// Jobs gives the jobs of a stack.
func (e *Engine) Jobs(ctx context.Context, stack string) (Jobs, error) {
	observed, tasks, err := e.reader.look(ctx, stack)
	if err != nil {
		return Jobs{}, err
	}
	jobs := Jobs{}
	for _, name := range keys(observed.Services) {
		service := observed.Services[name]
		of := tasks[service.ID]
		switch {
		case !endsByItself(stack, service.Spec):
		case slices.ContainsFunc(of, runsNow):
			jobs.Running = append(jobs.Running, name)
		case !slices.ContainsFunc(of, func(task swarm.Task) bool { return isDue(service, task) }):
		case isJob(service.Spec.Mode):
			jobs.Lasting = append(jobs.Lasting, name)
		default:
			jobs.Due = append(jobs.Due, name)
		}
	}
	return jobs, nil
}

func runsNow(task swarm.Task) bool {
	if task.NodeID == "" || task.DesiredState != swarm.TaskStateRunning && task.DesiredState != swarm.TaskStateComplete {
		return false
	}
	return slices.Contains([]swarm.TaskState{
		swarm.TaskStateAssigned, swarm.TaskStateAccepted, swarm.TaskStatePreparing, swarm.TaskStateReady, swarm.TaskStateStarting, swarm.TaskStateRunning,
	}, task.Status.State)
}

// isDue tells whether a task of a job shows that Swarm starts one later: it waits for its
// restart or for a node, or it has just failed and Swarm has not replaced it yet.
func isDue(service swarm.Service, task swarm.Task) bool {
	if isJob(service.Spec.Mode) { // on engine 20.10 tasks of earlier runs may stay for ever
		return ofCurrentSpec(service, task) && !over(task) && (alive(task) || task.DesiredState == swarm.TaskStateComplete)
	}
	policy := service.Spec.TaskTemplate.RestartPolicy
	ends := task.Status.State == swarm.TaskStateComplete || broken(task) && policy.Condition == swarm.RestartPolicyConditionNone
	return alive(task) && !ends
}

// StopJobs scales one-shot services of a stack to 0, so that Swarm starts none of their tasks
// any more, and waits until those that run have stopped. It calls note before and after each
// write; its error ends the work. A job that is gone counts as stopped.
func (e *Engine) StopJobs(ctx context.Context, stack string, names []string, note func(Event) error) error {
	stopped, limit := map[string]bool{}, stopSlack
	for _, name := range names {
		existing, err := e.reader.service(ctx, name)
		if errors.Is(err, errGone) {
			continue
		}
		if err == nil && (existing.Spec.Labels[compose.LabelStack] != stack || !oneShot(stack, existing.Spec)) {
			err = fmt.Errorf("it is not a one-shot service of stack %s", stack)
		}
		if err != nil {
			return e.address.explain("stop service "+name, err)
		}
		event := Event{Step: Step{Action: ScaleDown, Kind: Service, Name: name, Restarts: true}}
		if err := note(event); err != nil {
			return err
		}
		if event.Done, err = true, stopJob(ctx, e, existing); !errors.Is(err, errGone) {
			event.Err = e.address.explain("stop service "+name, err)
		}
		if err := errors.Join(event.Err, note(event)); err != nil {
			return err
		}
		stopped[existing.ID], limit = true, max(limit, graceOf(existing.Spec)+stopSlack)
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		tasks, err := e.reader.tasks(limited, stackLabel(stack))
		maps.DeleteFunc(tasks, func(id string, of []swarm.Task) bool { return !stopped[id] || !slices.ContainsFunc(of, onNode) })
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case limited.Err() != nil:
			return fault.New(fault.Place{}, "check the nodes that they run on: `docker node ls`", "tasks of %s have not stopped within %s", strings.Join(names, ", "), limit)
		case err != nil || len(tasks) == 0:
			return err
		}
		pause(limited, stopLook)
	}
}

// stopJob scales a service to 0, which starts no task of it.
func stopJob(ctx context.Context, e *Engine, existing swarm.Service) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return inSequence(ctx, e.reader, existing, func(ctx context.Context, now swarm.Service) error {
		_, err := e.swarm.ServiceUpdate(ctx, now.ID, now.Version, scaledTo(now.Spec, 0), swarm.ServiceUpdateOptions{})
		return err
	})
}

// Stopped gives a stack whose named services are scaled to 0.
func Stopped(stack *compose.Stack, names []string) *compose.Stack {
	stopped := *stack
	stopped.Services = maps.Clone(stack.Services)
	for _, name := range names {
		if spec, there := stopped.Services[name]; there {
			stopped.Services[name] = scaledTo(spec, 0)
		}
	}
	return &stopped
}
