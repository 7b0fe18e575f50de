package agent_test

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// earlierWaves writes the waves before the last one, and waits between them. The
// lock is held, but for the waits.
func (e engine) earlierWaves(ctx context.Context, plan deploy.Plan, want *compose.Stack, opts deploy.ApplyOptions) error {
	begin := 0
	for _, wave := range plan.Waves(want) {
		e.w.live = maps.Clone(e.w.live)
		for _, step := range plan.Steps[begin:wave.Before] {
			switch {
			case step.Kind != deploy.Service:
			case step.Action == deploy.ScaleDown:
				e.w.live[step.Name] = withReplicas(e.w.live[step.Name], 0)
			default:
				e.w.live[step.Name] = want.Services[step.Name]
			}
		}
		begin = wave.Before
		e.w.mu.Unlock()
		err := opts.Wait(ctx, wave)
		e.w.mu.Lock()
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return err
		}
		asleep := plan.ScaledDown()
		maps.Copy(asleep, opts.ScaledDown)
		return errors.Join(err, e.wake(asleep, opts.Progress))
	}
	return nil
}

// wake scales services up that are at 0. The lock is held.
func (e engine) wake(asleep map[string]uint64, progress func(deploy.Event) error) error {
	if e.w.engineErr != nil {
		return e.w.engineErr
	}
	e.w.live = maps.Clone(e.w.live)
	for _, name := range slices.Sorted(maps.Keys(asleep)) {
		spec, there := e.w.live[name]
		if !there || spec.Mode.Replicated.Replicas == nil || *spec.Mode.Replicated.Replicas > 0 {
			continue
		}
		e.w.live[name] = withReplicas(spec, asleep[name])
		if err := progress(deploy.Event{Step: deploy.Step{Action: deploy.ScaleUp, Kind: deploy.Service, Name: name}, Done: true}); err != nil {
			return err
		}
	}
	return nil
}

func (e engine) ScaleUp(_ context.Context, _ string, asleep map[string]uint64, progress func(deploy.Event) error) error {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	return e.wake(asleep, progress)
}

// Rerun has the jobs run again that the world calls failed.
func (e engine) Rerun(_ context.Context, live deploy.LiveServices, want *compose.Stack) (*compose.Stack, error) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	again := *want
	again.Services = maps.Clone(want.Services)
	for name := range e.w.failedJobs {
		if spec, there := again.Services[name]; there {
			spec.TaskTemplate.ForceUpdate = live[name].Spec.TaskTemplate.ForceUpdate + 1
			again.Services[name] = spec
		}
	}
	return &again, nil
}

// followedServices notes what is waited for, and waits where the world has it so.
func (e engine) followedServices(ctx context.Context, want *compose.Stack, changed []string) error {
	e.w.mu.Lock()
	e.w.written = changed
	e.w.unknown = nil
	for _, secret := range want.Secrets {
		if !secret.Value.Known() {
			e.w.unknown = append(e.w.unknown, secret.Spec.Name)
		}
	}
	e.w.followed = append(e.w.followed, slices.Sorted(maps.Keys(want.Services)))
	verify := e.w.verify
	e.w.mu.Unlock()
	if verify == nil {
		return nil
	}
	return verify(ctx)
}

func withReplicas(spec swarm.ServiceSpec, count uint64) swarm.ServiceSpec {
	spec.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &count}}
	return spec
}
