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

// Departure is a stack that is to be removed.
type Departure struct {
	Stack, Owner string
	Others       []GoodState // of the owner's other stacks: a rollback to one needs its secrets and configs
}

// removal is an object of a stack that is to be removed.
type removal struct {
	step   Step
	remove func(ctx context.Context) error
}

// RemoveStack removes what an owner made for a stack: its services, then its secrets and configs
// with their old versions, and its networks. Volumes stay. It calls note before and after each
// removal; an error of note or of the engine ends it. What another stack's services or good states
// use stays, and so does a service without an owner, such as a job that a user adopted: all are in
// kept with the reason. busy has what the engine cannot remove yet. Called again, it goes on.
func (e *Engine) RemoveStack(ctx context.Context, what Departure, note func(Event) error) (kept, busy []string, err error) {
	all, kept, err := removalsOf(ctx, e, what)
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

// removalsOf lists what is to be removed in its order, and what stays.
func removalsOf(ctx context.Context, e *Engine, what Departure) ([]removal, []string, error) {
	services, err := e.reader.services(ctx, filters.NewArgs())
	if err != nil {
		return nil, nil, err
	}
	l := &leaving{what: what, users: map[string][]string{}}
	for _, name := range keys(services) {
		service := services[name]
		if l.own(service.Spec.Labels) {
			l.add(Service, name, service.ID, e.swarm.ServiceRemove)
			continue
		}
		if labels := service.Spec.Labels; labels[compose.LabelStack] == what.Stack && labels[compose.LabelOwner] == "" {
			l.kept = append(l.kept, fmt.Sprintf("service %s, which has no label of this agent: `docker service rm %s` removes it", name, name))
		}
		for _, used := range usedBy(service.Spec) {
			l.users[used] = append(l.users[used], name)
		}
	}
	secrets, err := e.reader.secrets(ctx, stackLabel(what.Stack))
	if err != nil {
		return nil, nil, err
	}
	for _, name := range keys(secrets) {
		l.take(object{Secret, name}, secrets[name].ID, secrets[name].Spec.Labels, e.swarm.SecretRemove)
	}
	configs, err := e.reader.configs(ctx, stackLabel(what.Stack))
	if err != nil {
		return nil, nil, err
	}
	for _, name := range keys(configs) {
		l.take(object{Config, name}, configs[name].ID, configs[name].Spec.Labels, e.swarm.ConfigRemove)
	}
	networks, err := e.reader.allNetworks(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range keys(networks) {
		l.take(object{Network, name}, networks[name].ID, networks[name].Labels, e.swarm.NetworkRemove)
	}
	return l.all, l.kept, nil
}

// leaving is what is found out about a stack that is removed.
type leaving struct {
	what  Departure
	users map[string][]string // services that stay, by the IDs and names of what they use

	all  []removal
	kept []string
}

func (l *leaving) own(labels map[string]string) bool {
	return l.what.Owner != "" && labels[compose.LabelStack] == l.what.Stack && labels[compose.LabelOwner] == l.what.Owner
}

// take adds an object of the stack, unless a service or a good state that stays uses it.
func (l *leaving) take(of object, id string, labels map[string]string, remove func(context.Context, string) error) {
	users := slices.Concat(l.users[id], l.users[of.name])
	needs := slices.IndexFunc(l.what.Others, func(g GoodState) bool { return g.has(Version{Kind: of.kind, Name: of.name}) })
	switch {
	case !l.own(labels):
	case len(users) > 0:
		l.kept = append(l.kept, fmt.Sprintf("%s %s, which %s uses", of.kind, of.name, strings.Join(slices.Compact(users), " and ")))
	case needs >= 0:
		l.kept = append(l.kept, fmt.Sprintf("%s %s, for a rollback to the %s", of.kind, of.name, l.what.Others[needs]))
	default:
		l.add(of.kind, of.name, id, remove)
	}
}

func (l *leaving) add(kind Kind, name, id string, remove func(context.Context, string) error) {
	l.all = append(l.all, removal{Step{Action: Remove, Kind: kind, Name: name}, func(ctx context.Context) error { return remove(ctx, id) }})
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
