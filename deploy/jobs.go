package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

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
// any more, and waits until those that run have stopped. A task that Swarm was just making it may
// leave, and start later: such a service is written again. StopJobs calls note before and after
// each write; its error ends the work. A job that is gone counts as stopped.
func (e *Engine) StopJobs(ctx context.Context, stack string, names []string, note func(Event) error) error {
	s := jobStop{engine: e, stack: stack, note: note, limit: stopSlack, written: map[string]time.Time{}}
	for _, name := range names {
		if err := s.stop(ctx, name); err != nil {
			return err
		}
	}
	limited, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	for {
		observed, tasks, err := e.reader.look(limited, stack)
		maps.DeleteFunc(s.written, func(name string, _ time.Time) bool {
			return err == nil && !slices.ContainsFunc(tasks[observed.Services[name].ID], func(task swarm.Task) bool { return onNode(task) || alive(task) })
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case limited.Err() != nil:
			return fault.New(fault.Place{}, "check the nodes that they run on: `docker node ls`", "tasks of %s have not stopped within %s", strings.Join(keys(s.written), ", "), s.limit)
		case err != nil || len(s.written) == 0:
			return err
		}
		for _, name := range keys(s.written) {
			forgotten := slices.ContainsFunc(tasks[observed.Services[name].ID], alive) && time.Since(s.written[name]) >= withdrawal
			if forgotten {
				if err := s.stop(limited, name); err != nil {
					return err
				}
			}
		}
		pause(limited, stopLook)
	}
}

// withdrawal is how long Swarm may take to withdraw the tasks of a service that is scaled to 0.
const withdrawal = 2 * time.Second

// jobStop stops jobs of a stack.
type jobStop struct {
	engine *Engine
	stack  string
	note   func(Event) error

	limit   time.Duration        // until which their tasks have to stop
	written map[string]time.Time // services that have tasks, and when they were scaled to 0
}

// stop scales a service to 0.
func (s *jobStop) stop(ctx context.Context, name string) error {
	existing, err := s.engine.reader.service(ctx, name)
	if errors.Is(err, errGone) {
		return nil
	}
	if err == nil && (existing.Spec.Labels[compose.LabelStack] != s.stack || !oneShot(s.stack, existing.Spec)) {
		err = fmt.Errorf("it is not a one-shot service of stack %s", s.stack)
	}
	if err != nil {
		return s.engine.address.explain("stop service "+name, err)
	}
	event := Event{Step: Step{Action: ScaleDown, Kind: Service, Name: name, Restarts: true}}
	if err := s.note(event); err != nil {
		return err
	}
	if event.Done, err = true, stopJob(ctx, s.engine, existing); !errors.Is(err, errGone) {
		event.Err = s.engine.address.explain("stop service "+name, err)
	}
	if err := errors.Join(event.Err, s.note(event)); err != nil {
		return err
	}
	s.written[name], s.limit = time.Now(), max(s.limit, graceOf(existing.Spec)+stopSlack)
	return nil
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
