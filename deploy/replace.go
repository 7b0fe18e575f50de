package deploy

import (
	"context"
	"slices"
)

// replace removes a service and makes it anew, once its tasks have stopped: two instances of one
// service may damage what they share, such as a volume. Interrupted in between, the next plan
// makes the service.
func (a *application) replace(ctx context.Context, step Step) error {
	step.Action = Remove
	if err := a.try(ctx, step); err != nil {
		return err
	}
	if err := a.tasksStop(ctx, step.Name); err != nil {
		return err
	}
	step.Action = Create
	return a.try(ctx, step)
}

// tasksStop waits until the tasks of a removed service have stopped. The engine kills them after
// their grace period. A task that still runs then is on a node that does not answer, and is not
// waited for. If the engine does not answer for a moment it is asked again: the service is gone.
func (a *application) tasksStop(ctx context.Context, name string) error {
	removed := a.live[name]
	limited, cancel := context.WithTimeout(ctx, graceOf(removed.Spec)+stopSlack)
	defer cancel()
	for {
		tasks, err := a.engine.reader.tasks(limited, stackLabel(a.want.Name))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case limited.Err() != nil:
			return nil
		case err == nil && !slices.ContainsFunc(tasks[removed.ID], onNode):
			return nil
		}
		pause(limited, stopLook)
	}
}
