package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// removal is an object of a stack that is to be removed.
type removal struct {
	step   Step
	remove func(ctx context.Context) error
}

// RemoveStack removes what an owner made for a stack: its services, then its secrets and configs
// with their old versions, and its networks. Volumes stay. It calls note before and after each
// removal; an error of note or of the engine ends it. What another stack's services use stays,
// and is in kept with the reason. busy has what the engine cannot remove yet. Called again, it
// goes on.
func (e *Engine) RemoveStack(ctx context.Context, stack, owner string, note func(Event) error) (kept, busy []string, err error) {
	all, kept, err := e.removals(ctx, stack, owner)
	if err != nil {
		return nil, nil, err
	}
	for _, one := range all {
		event := Event{Step: one.step}
		if err := note(event); err != nil {
			return kept, busy, err
		}
		limited, cancel := context.WithTimeout(ctx, callLimit)
		err := one.remove(limited)
		cancel()
		used := isUsed(err)
		if event.Done, event.Err = true, err; errdefs.IsNotFound(err) {
			event.Err = nil
		} else if err != nil {
			event.Err = e.address.explain("remove "+string(one.step.Kind)+" "+one.step.Name, err)
		}
		if used {
			busy = append(busy, fmt.Sprintf("%s %s, which is still in use", one.step.Kind, one.step.Name))
		}
		if noteErr := note(event); noteErr != nil || event.Err != nil && !used {
			return kept, busy, errors.Join(event.Err, noteErr)
		}
	}
	return kept, busy, nil
}

// isUsed reports whether the engine refuses to remove an object because something uses it.
func isUsed(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "in use") || errdefs.IsFailedPrecondition(err))
}

// removals lists what is to be removed in its order, and what stays.
func (e *Engine) removals(ctx context.Context, stack, owner string) (all []removal, kept []string, err error) {
	own := func(labels map[string]string) bool {
		return labels[compose.LabelStack] == stack && labels[compose.LabelOwner] == owner && owner != ""
	}
	services, err := e.reader.services(ctx, filters.NewArgs())
	if err != nil {
		return nil, nil, err
	}
	add := func(kind Kind, name string, remove func(context.Context) error) {
		all = append(all, removal{Step{Action: Remove, Kind: kind, Name: name}, remove})
	}
	users := map[string][]string{} // services that stay, by what they use
	for _, name := range keys(services) {
		service := services[name]
		if own(service.Spec.Labels) {
			add(Service, name, func(ctx context.Context) error { return e.swarm.ServiceRemove(ctx, service.ID) })
			continue
		}
		for _, used := range usedBy(service.Spec) {
			users[used] = append(users[used], name)
		}
	}
	stays := func(kind Kind, name string, ids ...string) bool {
		for _, id := range ids {
			if by := users[id]; len(by) > 0 {
				kept = append(kept, fmt.Sprintf("%s %s, which %s uses", kind, name, strings.Join(slices.Compact(by), " and ")))
				return true
			}
		}
		return false
	}
	secrets, err := e.reader.secrets(ctx, stackLabel(stack))
	if err != nil {
		return nil, nil, err
	}
	for _, name := range keys(secrets) {
		if one := secrets[name]; own(one.Spec.Labels) && !stays(Secret, name, one.ID) {
			add(Secret, name, func(ctx context.Context) error { return e.swarm.SecretRemove(ctx, one.ID) })
		}
	}
	configs, err := e.reader.configs(ctx, stackLabel(stack))
	if err != nil {
		return nil, nil, err
	}
	for _, name := range keys(configs) {
		if one := configs[name]; own(one.Spec.Labels) && !stays(Config, name, one.ID) {
			add(Config, name, func(ctx context.Context) error { return e.swarm.ConfigRemove(ctx, one.ID) })
		}
	}
	networks, err := e.reader.allNetworks(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range keys(networks) {
		if one := networks[name]; own(one.Labels) && !stays(Network, name, one.ID, name) {
			add(Network, name, func(ctx context.Context) error { return e.swarm.NetworkRemove(ctx, one.ID) })
		}
	}
	return all, kept, nil
}

// usedBy lists what a service uses: the IDs or names of secrets, configs and networks.
func usedBy(spec swarm.ServiceSpec) (used []string) {
	for _, one := range references(spec) {
		used = append(used, one.id)
	}
	for _, one := range slices.Concat(spec.TaskTemplate.Networks, spec.Networks) { //nolint:staticcheck // old services have it
		used = append(used, one.Target)
	}
	return used
}
