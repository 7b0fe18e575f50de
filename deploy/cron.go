package deploy

import (
	"context"
	"errors"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// Asleep gives the cron services that the plan scales down, with the replicas that
// they have.
func (p Plan) Asleep() map[string]uint64 {
	asleep := map[string]uint64{}
	for _, step := range p.Steps {
		if step.Action == ScaleDown && p.live != nil {
			asleep[step.Name] = replicas(p.live.Services[step.Name].Spec)
		}
	}
	return asleep
}

// Wake gives cron services of a stack that were scaled down the replicas that they
// had, unless they are gone, another stack's, or back already. Each that it brings
// back it tells to progress, whose error stops nothing: nobody else would do it.
func (e *Engine) Wake(ctx context.Context, stack string, asleep map[string]uint64, progress func(Event) error) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var errs []error
	for _, name := range keys(asleep) {
		now, _, err := e.readService(ctx, name)
		if errors.Is(err, errGone) {
			continue
		}
		if err == nil && (now.Spec.Labels[compose.LabelStack] != stack || now.Spec.Mode.Replicated == nil || replicas(now.Spec) > 0) {
			continue
		}
		if err == nil {
			_, err = e.api.ServiceUpdate(ctx, now.ID, now.Version, scaledTo(now.Spec, asleep[name]), swarm.ServiceUpdateOptions{})
		}
		if err != nil {
			err = e.explain("bring back service "+name, err)
		}
		errs = append(errs, err, progress(Event{Step: Step{Action: ScaleUp, Kind: Service, Name: name, Restarts: true}, Done: true, Err: err}))
	}
	return errors.Join(errs...)
}
