package agent_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// engine is a Swarm that does at once what it is told.
type engine struct{ w *world }

func (e engine) Observe(ctx context.Context, stack *compose.Stack) (*deploy.Live, error) {
	services, err := e.ObserveServices(ctx, stack.Name)
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	live := &deploy.Live{Services: services, Networks: map[string]network.Summary{}, Secrets: maps.Clone(e.w.secrets)}
	for name, made := range e.w.networks {
		live.Networks[name] = network.Summary{ID: name, Name: name, Scope: "swarm", Driver: made.Driver, Labels: made.Labels}
	}
	return live, err
}

func (e engine) ObserveServices(_ context.Context, name string) (deploy.LiveServices, error) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.w.instantly()
	live := deploy.LiveServices{}
	for service, spec := range e.w.live {
		if strings.HasPrefix(service, name+"_") {
			live[service] = swarm.Service{ID: service, Spec: spec, ServiceStatus: e.w.counts[service]}
		}
	}
	return live, e.w.engineErr
}

// ObserveChanged knows no bytes of an answer.
func (e engine) ObserveChanged(ctx context.Context, name string, _ deploy.Answer) (deploy.LiveServices, deploy.Answer, error) {
	live, err := e.ObserveServices(ctx, name)
	return live, deploy.Answer{}, err
}

func (e engine) ObserveStacks(ctx context.Context, names []string, _ deploy.Answer) (map[string]deploy.LiveServices, deploy.Answer, error) {
	stacks := map[string]deploy.LiveServices{}
	for _, name := range names {
		live, err := e.ObserveServices(ctx, name)
		if err != nil {
			return nil, deploy.Answer{}, err
		}
		stacks[name] = live
	}
	return stacks, deploy.Answer{}, nil
}

// Resolve leaves images as they are, unless the world says otherwise.
func (e engine) Resolve(_ context.Context, live deploy.LiveServices, want *compose.Stack) (deploy.Resolution, error) {
	e.w.mu.Lock()
	resolve := e.w.resolve
	e.w.mu.Unlock()
	if resolve == nil {
		return deploy.Resolution{Stack: want}, nil
	}
	stack, warnings, err := resolve(live, want)
	return deploy.Resolution{Stack: stack, Warnings: warnings}, err
}

// RefuseMissing finds the images that the world lacks.
func (e engine) RefuseMissing(_ context.Context, plan deploy.Plan, of deploy.Resolution, _ bool) ([]string, error) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	for _, name := range plan.Changed() {
		if err := e.w.lacks[of.Stack.Services[name].TaskTemplate.ContainerSpec.Image]; err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (e engine) Mismatched(context.Context, *deploy.Live, *compose.Stack, map[string]string, []byte) ([]string, map[string]string, error) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	return nil, nil, e.w.mismatch
}

func (e engine) Apply(ctx context.Context, plan deploy.Plan, want *compose.Stack, opts deploy.ApplyOptions) error {
	e.w.mu.Lock()
	wait := e.w.onApply
	e.w.mu.Unlock()
	if wait != nil {
		wait(ctx)
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	e.w.applied++
	e.w.instantly()
	maps.Copy(e.w.networks, want.Networks)
	for _, secret := range want.Secrets {
		if _, there := e.w.secrets[secret.Spec.Name]; !there {
			e.w.secrets[secret.Spec.Name] = swarm.Secret{ID: secret.Spec.Name, Meta: swarm.Meta{CreatedAt: time.Now()}, Spec: secret.Spec}
		}
	}
	if err := e.earlierWaves(ctx, plan, want, opts); err != nil {
		return err
	}
	others := maps.Clone(e.w.live)
	maps.DeleteFunc(others, func(service string, _ swarm.ServiceSpec) bool {
		_, wanted := want.Services[service]
		return wanted || slices.ContainsFunc(plan.Steps, func(s deploy.Step) bool { return s.Action == deploy.Remove && s.Name == service })
	})
	e.w.live = maps.Clone(want.Services)
	maps.Copy(e.w.live, others)
	e.w.instantly()
	if e.w.lost {
		e.w.mu.Unlock()
		<-ctx.Done()
		e.w.mu.Lock()
		return ctx.Err()
	}
	for _, step := range plan.Steps {
		if err := errors.Join(opts.Progress(deploy.Event{Step: step}), opts.Progress(deploy.Event{Step: step, Done: true})); err != nil {
			return err
		}
	}
	return nil
}

func (e engine) Verify(ctx context.Context, want *compose.Stack, opts deploy.VerifyOptions) (deploy.Result, error) {
	if err := e.followedServices(ctx, want, opts.Changed); err != nil {
		return deploy.Result{}, err
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.w.instantly()
	if e.w.onVerify != nil {
		e.w.onVerify()
	}
	result := e.w.result
	result.Services = slices.DeleteFunc(slices.Clone(result.Services), func(s deploy.ServiceResult) bool { return !strings.HasPrefix(s.Name, want.Name+"_") })
	return result, e.w.engineErr
}

// RemoveStack removes services of a stack. What else there is stays.
func (e engine) RemoveStack(_ context.Context, what deploy.Departure, note func(deploy.Event) error) (kept, busy []string, err error) {
	e.w.mu.Lock()
	names := slices.Sorted(maps.Keys(e.w.live))
	e.w.mu.Unlock()
	for _, name := range names {
		if !strings.HasPrefix(name, what.Stack+"_") {
			continue
		}
		step := deploy.Step{Action: deploy.Remove, Kind: deploy.Service, Name: name}
		if err := note(deploy.Event{Step: step}); err != nil {
			return nil, nil, err
		}
		e.w.mu.Lock()
		delete(e.w.live, name)
		e.w.instantly()
		e.w.mu.Unlock()
		if err := note(deploy.Event{Step: step, Done: true}); err != nil {
			return nil, nil, err
		}
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.w.removals++
	e.w.departed = what
	return e.w.kept, e.w.busy, nil
}
