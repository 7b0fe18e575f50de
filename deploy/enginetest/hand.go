package enginetest

import (
	"context"
	"maps"
	"slices"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
)

// UpdateService changes a service as a user does by hand: it reads the service, has
// change alter its spec, and writes it back.
func (e *Engine) UpdateService(ctx context.Context, name string, change func(*swarm.ServiceSpec)) error {
	user := e.Client(Hooks{})
	now, _, err := user.ServiceInspectWithRaw(ctx, name, swarm.ServiceInspectOptions{})
	if err != nil {
		return err
	}
	change(&now.Spec)
	_, err = user.ServiceUpdate(ctx, now.ID, now.Version, now.Spec, swarm.ServiceUpdateOptions{})
	return err
}

// RollBackService puts the previous spec of a service back, as `docker service
// rollback` does.
func (e *Engine) RollBackService(ctx context.Context, name string) error {
	user := e.Client(Hooks{})
	now, _, err := user.ServiceInspectWithRaw(ctx, name, swarm.ServiceInspectOptions{})
	if err != nil {
		return err
	}
	_, err = user.ServiceUpdate(ctx, now.ID, now.Version, now.Spec, swarm.ServiceUpdateOptions{Rollback: "previous"})
	return err
}

// RemoveService removes a service as a user does by hand.
func (e *Engine) RemoveService(ctx context.Context, name string) error {
	return e.Client(Hooks{}).ServiceRemove(ctx, name)
}

// State is all that Swarm has stored, by the objects' full names; of secrets the
// content, too. It is a copy.
type State struct {
	Services map[string]swarm.Service
	Tasks    map[string][]swarm.Task // by their service, the oldest first; those of removed services while they stop
	Networks map[string]network.Summary
	Secrets  map[string]swarm.Secret
	Configs  map[string]swarm.Config
}

// State gives what Swarm has stored now. An engine that is stopped gives it, too.
func (e *Engine) State() State {
	state := State{
		Services: map[string]swarm.Service{}, Tasks: map[string][]swarm.Task{}, Networks: map[string]network.Summary{},
		Secrets: map[string]swarm.Secret{}, Configs: map[string]swarm.Config{},
	}
	e.do(func() {
		for _, s := range sorted(e.services) {
			state.Services[s.spec.Name] = s.swarm(e)
		}
		for _, t := range sorted(e.tasks) {
			state.Tasks[t.serviceName] = append(state.Tasks[t.serviceName], t.swarm(e))
		}
		for _, tasks := range state.Tasks {
			slices.SortStableFunc(tasks, func(a, b swarm.Task) int { return a.CreatedAt.Compare(b.CreatedAt) })
		}
		for _, one := range sorted(e.networks) {
			if one.summary.Scope == "swarm" && !one.hidden && !one.removed {
				state.Networks[one.summary.Name] = clone(one.summary)
			}
		}
		for _, one := range sorted(e.secrets) {
			shown := one.swarm()
			shown.Spec.Data = clone(one.spec.Data)
			state.Secrets[one.spec.Name] = shown
		}
		for _, one := range sorted(e.configs) {
			state.Configs[one.spec.Name] = one.swarm()
		}
	})
	return state
}

// Only gives the part of a state whose labels keep accepts. Tasks go with their
// services.
func (s State) Only(keep func(labels map[string]string) bool) State {
	part := State{
		Services: maps.Clone(s.Services), Tasks: maps.Clone(s.Tasks), Networks: maps.Clone(s.Networks),
		Secrets: maps.Clone(s.Secrets), Configs: maps.Clone(s.Configs),
	}
	maps.DeleteFunc(part.Services, func(_ string, one swarm.Service) bool { return !keep(one.Spec.Labels) })
	maps.DeleteFunc(part.Tasks, func(name string, _ []swarm.Task) bool {
		_, kept := part.Services[name]
		return !kept
	})
	maps.DeleteFunc(part.Networks, func(_ string, one network.Summary) bool { return !keep(one.Labels) })
	maps.DeleteFunc(part.Secrets, func(_ string, one swarm.Secret) bool { return !keep(one.Spec.Labels) })
	maps.DeleteFunc(part.Configs, func(_ string, one swarm.Config) bool { return !keep(one.Spec.Labels) })
	return part
}
