package deploy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// LiveServices is what the engine holds of a stack's services, by their full names. Their
// networks have names instead of IDs.
type LiveServices map[string]swarm.Service

// Observed are a stack's services, with the engine's answer that has them.
type Observed struct {
	Services LiveServices
	Answer   Answer // the zero Answer if the same bytes may later stand for other services
}

// Live is what the engine holds of a stack, by the objects' full names: all objects
// with the stack's label, and those under a name that the stack wants.
type Live struct {
	APIVersion string // as negotiated with the engine; "" when unknown
	Services   LiveServices
	Networks   map[string]network.Summary // Swarm's networks of any stack, and host, none and the like
	Secrets    map[string]swarm.Secret
	Configs    map[string]swarm.Config

	facts Facts // that all of it was read from
}

// Facts gives what Observe asked, and the answers.
func (l *Live) Facts() Facts { return l.facts }

// Observe reads everything that a plan for the stack needs.
func (e *Engine) Observe(ctx context.Context, stack *compose.Stack) (*Live, error) {
	ahead := e.Ahead(ctx, stack.Name)
	defer ahead.Stop()
	return ahead.Observe(ctx, stack)
}

// ObserveServices reads only the services with the stack's label: one call if the names of
// their networks are known.
func (e *Engine) ObserveServices(ctx context.Context, stackName string) (LiveServices, error) {
	observed, err := e.reader.observe(ctx, stackName, Answer{})
	return observed.Services, err
}

// ObserveChanged reads services as ObserveServices does, unless the engine's answer is the last
// one, byte for byte: then it gives no services, and that Answer.
func (e *Engine) ObserveChanged(ctx context.Context, stackName string, last Answer) (LiveServices, Answer, error) {
	observed, err := e.reader.observe(ctx, stackName, last)
	return observed.Services, observed.Answer, err
}

// ObserveStacks reads the services of several stacks with one call, unless the answer is the last
// one, as ObserveChanged: the engine has no filter for one label of several, so the answer has
// the services of all stacks.
func (e *Engine) ObserveStacks(ctx context.Context, stackNames []string, last Answer) (map[string]LiveServices, Answer, error) {
	ctx, heard := hear(ctx, last)
	services, err := e.reader.services(ctx, filters.NewArgs(filters.Arg("label", compose.LabelStack)))
	if err != nil || heard.same() {
		return nil, heard.now, err
	}
	stacks := make(map[string]LiveServices, len(stackNames))
	for _, name := range stackNames {
		stacks[name] = LiveServices{}
	}
	for name, service := range services {
		if stack, asked := stacks[service.Spec.Labels[compose.LabelStack]]; asked {
			stack[name] = service
		}
	}
	for _, live := range stacks {
		known, err := e.reader.nameKnowable(ctx, live)
		if err != nil {
			return nil, Answer{}, err
		}
		if !known {
			heard.now = Answer{}
		}
	}
	return stacks, heard.now, nil
}

// reader reads the objects of the Swarm.
type reader struct {
	api    SwarmAPI
	engine address

	networks sync.Map // network names by ID: they never change, so each is read once
}

// observe reads the services with the stack's label, and the names of their networks. It gives
// no services if the engine's answer is the last one.
func (r *reader) observe(ctx context.Context, stack string, last Answer) (Observed, error) {
	ctx, heard := hear(ctx, last)
	services, err := r.services(ctx, stackLabel(stack))
	if err != nil || heard.same() {
		return Observed{Answer: heard.now}, err
	}
	known, err := r.nameKnowable(ctx, services)
	if err != nil || !known {
		heard.now = Answer{}
	}
	return Observed{Services: services, Answer: heard.now}, err
}

// errGone says that the service does not exist.
var errGone = errors.New("the service was removed")

// service reads one service.
func (r *reader) service(ctx context.Context, name string) (swarm.Service, error) {
	services, err := r.services(ctx, nameFilter([]string{name}))
	if err != nil {
		return swarm.Service{}, err
	}
	service, ok := services[name]
	if !ok {
		return swarm.Service{}, errGone
	}
	return service, r.nameNetworks(ctx, LiveServices{name: service})
}

// look reads the services of a stack and their tasks, with two calls.
func (r *reader) look(ctx context.Context, stack string) (Observed, map[string][]swarm.Task, error) {
	observed, err := r.observe(ctx, stack, Answer{})
	if err != nil {
		return observed, nil, err
	}
	tasks, err := r.tasks(ctx, stackLabel(stack))
	return observed, tasks, err
}

// services reads services without insertDefaults: a spec with the engine's defaults would
// restart tasks when it is written back.
func (r *reader) services(ctx context.Context, filter filters.Args) (map[string]swarm.Service, error) {
	list, err := inTurn(ctx, func(ctx context.Context) ([]swarm.Service, error) {
		return r.api.ServiceList(ctx, swarm.ServiceListOptions{Filters: filter, Status: true})
	})
	return byName(list, func(s swarm.Service) string { return s.Spec.Name }), r.engine.explain("list services", err)
}

// tasks gives tasks by the ID of their service. Networks whose names are known have names,
// so that the task's spec equals that of its service.
func (r *reader) tasks(ctx context.Context, filter filters.Args) (map[string][]swarm.Task, error) {
	list, err := inTurn(ctx, func(ctx context.Context) ([]swarm.Task, error) {
		return r.api.TaskList(ctx, swarm.TaskListOptions{Filters: filter})
	})
	if err != nil {
		return nil, r.engine.explain("list tasks", err)
	}
	tasks := map[string][]swarm.Task{}
	for _, task := range list {
		r.nameKnown(task.Spec.Networks)
		tasks[task.ServiceID] = append(tasks[task.ServiceID], task)
	}
	return tasks, nil
}

func (r *reader) secrets(ctx context.Context, filter filters.Args) (map[string]swarm.Secret, error) {
	list, err := inTurn(ctx, func(ctx context.Context) ([]swarm.Secret, error) {
		return r.api.SecretList(ctx, swarm.SecretListOptions{Filters: filter})
	})
	return byName(list, func(s swarm.Secret) string { return s.Spec.Name }), r.engine.explain("list secrets", err)
}

func (r *reader) configs(ctx context.Context, filter filters.Args) (map[string]swarm.Config, error) {
	list, err := inTurn(ctx, func(ctx context.Context) ([]swarm.Config, error) {
		return r.api.ConfigList(ctx, swarm.ConfigListOptions{Filters: filter})
	})
	return byName(list, func(c swarm.Config) string { return c.Spec.Name }), r.engine.explain("list configs", err)
}

// allNetworks reads the networks and remembers their names.
func (r *reader) allNetworks(ctx context.Context) (map[string]network.Summary, error) {
	list, err := timed(ctx, func(ctx context.Context) ([]network.Summary, error) {
		return r.api.NetworkList(ctx, network.ListOptions{})
	})
	if err != nil {
		return nil, r.engine.explain("list networks", err)
	}
	networks := map[string]network.Summary{}
	for _, one := range list {
		// A local network may share its name with a Swarm network.
		if known, ok := networks[one.Name]; !ok || known.Scope != "swarm" {
			networks[one.Name] = one
		}
		r.networks.Store(one.ID, one.Name)
	}
	return networks, nil
}

// nameNetworks replaces the IDs of the networks that services use by names. It reads only
// names that are not known yet, each with a call of its own, because some networks, like
// host, are in no list.
func (r *reader) nameNetworks(ctx context.Context, services LiveServices) error {
	_, err := r.nameKnowable(ctx, services)
	return err
}

// nameKnowable does the same, and reports whether each network has a name.
func (r *reader) nameKnowable(ctx context.Context, services LiveServices) (all bool, err error) {
	all = true
	for _, service := range services {
		old := service.Spec.Networks //nolint:staticcheck // old services have the deprecated field
		for _, attachments := range [][]swarm.NetworkAttachmentConfig{service.Spec.TaskTemplate.Networks, old} {
			for i, attachment := range attachments {
				name, err := r.networkName(ctx, attachment.Target)
				if errdefs.IsNotFound(err) {
					all = false
					continue // it keeps its ID, which differs from every name
				}
				if err != nil {
					return false, r.engine.explain("read network "+attachment.Target, err)
				}
				attachments[i].Target = name
			}
		}
	}
	for _, service := range services {
		if service.PreviousSpec != nil { // compared with the spec
			r.nameKnown(service.PreviousSpec.TaskTemplate.Networks)
		}
	}
	return all, nil
}

// nameKnown replaces the IDs of networks by names, as far as these are known.
func (r *reader) nameKnown(attachments []swarm.NetworkAttachmentConfig) {
	for i, attachment := range attachments {
		if name, known := r.networks.Load(attachment.Target); known {
			attachments[i].Target = name.(string)
		}
	}
}

func (r *reader) networkName(ctx context.Context, id string) (string, error) {
	if name, known := r.networks.Load(id); known {
		return name.(string), nil
	}
	found, err := timed(ctx, func(ctx context.Context) (network.Inspect, error) {
		return r.api.NetworkInspect(ctx, id, network.InspectOptions{Scope: "swarm"})
	})
	if err != nil {
		return "", err
	}
	r.networks.Store(id, found.Name)
	return found.Name, nil
}

func stackLabel(stackName string) filters.Args {
	return filters.NewArgs(filters.Arg("label", compose.LabelStack+"="+stackName))
}

// nameFilter selects by the beginning of the name: the engine has no exact filter for all
// kinds, so the answer may contain more objects.
func nameFilter(names []string) filters.Args {
	args := filters.NewArgs()
	for _, name := range names {
		args.Add("name", name)
	}
	return args
}

// byName gives objects by their names.
func byName[T any](list []T, name func(T) string) map[string]T {
	named := make(map[string]T, len(list))
	for _, one := range list {
		named[name(one)] = one
	}
	return named
}

// keys gives a map's keys, sorted.
func keys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
