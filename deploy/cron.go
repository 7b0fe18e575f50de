package deploy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// ScaledDown gives the replicas of the cron services that the plan scales down, by
// full name.
func (p Plan) ScaledDown() map[string]uint64 {
	scaledDown := map[string]uint64{}
	for _, step := range p.Steps {
		if step.Action == ScaleDown && p.live != nil {
			scaledDown[step.Name] = replicas(p.live.Services[step.Name].Spec)
		}
	}
	return scaledDown
}

const (
	// defaultGrace is the engine's own default of stop_grace_period.
	defaultGrace = 10 * time.Second
	// stopSlack is how long a task may take to stop beyond its grace period.
	stopSlack = 10 * time.Second
	// stopLook is the time between two checks whether the tasks have stopped.
	stopLook = 250 * time.Millisecond
)

// cronStops waits until the tasks of the scaled down cron services have stopped, so that
// no cron job runs during a migration. The engine kills them after their grace period. A
// task that still runs then is on a node that does not answer, and is not waited for.
func (a *application) cronStops(ctx context.Context) error {
	if len(a.scaledDown) == 0 {
		return nil
	}
	limit := stopSlack
	for _, name := range a.scaledDown {
		limit = max(limit, graceOf(a.live[name].Spec)+stopSlack)
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		observed, tasks, err := a.engine.reader.look(limited, a.want.Name)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case limited.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		live := observed.Services
		stopping := slices.ContainsFunc(a.scaledDown, func(name string) bool {
			return replicas(live[name].Spec) == 0 && slices.ContainsFunc(tasks[live[name].ID], onNode)
		})
		if !stopping {
			return nil
		}
		pause(limited, stopLook)
	}
}

func graceOf(spec swarm.ServiceSpec) time.Duration {
	if grace := containerOf(spec).StopGracePeriod; grace != nil {
		return *grace
	}
	return defaultGrace
}

// onNode tells whether a task may have a running container.
func onNode(task swarm.Task) bool {
	return slices.Contains([]swarm.TaskState{swarm.TaskStatePreparing, swarm.TaskStateStarting, swarm.TaskStateRunning}, task.Status.State)
}

// ScaleUp gives cron services of a stack that were scaled down their replicas again,
// except those that were removed, belong to another stack or have replicas. It calls
// progress for each. An error of progress does not stop it: no other code would scale
// up the rest.
func (e *Engine) ScaleUp(ctx context.Context, stack string, scaledDown map[string]uint64, progress func(Event) error) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var errs []error
	for _, name := range keys(scaledDown) {
		up := false
		now, err := e.reader.service(ctx, name)
		if err == nil {
			err = inSequence(ctx, e.reader, now, func(ctx context.Context, now swarm.Service) error {
				if up = now.Spec.Labels[compose.LabelStack] == stack && now.Spec.Mode.Replicated != nil && replicas(now.Spec) == 0; !up {
					return nil
				}
				_, err := e.swarm.ServiceUpdate(ctx, now.ID, now.Version, scaledTo(now.Spec, scaledDown[name]), swarm.ServiceUpdateOptions{})
				return err
			})
		}
		if errors.Is(err, errGone) || err == nil && !up {
			continue
		}
		err = e.address.explain("scale up service "+name, err)
		errs = append(errs, err, progress(Event{Step: Step{Action: ScaleUp, Kind: Service, Name: name, Restarts: true}, Done: true, Err: err}))
	}
	return errors.Join(errs...)
}

// ScaledUp gives the live services as they are without the effect of an interrupted
// rollout: those cron services that it left at 0 have the replicas of scaledDown.
func (l LiveServices) ScaledUp(scaledDown map[string]uint64) LiveServices {
	up := maps.Clone(l)
	for name, n := range scaledDown {
		if service, there := up[name]; there && service.Spec.Mode.Replicated != nil && replicas(service.Spec) == 0 {
			service.Spec = scaledTo(service.Spec, n)
			up[name] = service
		}
	}
	return up
}
