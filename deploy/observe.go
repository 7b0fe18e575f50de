package deploy

import (
	"context"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// LiveServices is what the engine holds of a stack's services, by their full names.
type LiveServices struct {
	Stack    string
	Services map[string]swarm.Service

	networkNames map[string]string // by ID
}

// Live is what the engine holds of a stack, by the objects' full names: all objects
// with the stack's label, and those under a name that the stack wants.
type Live struct {
	Stack      string
	APIVersion string // as negotiated with the engine; "" when unknown
	Services   map[string]swarm.Service
	Networks   map[string]network.Summary // Swarm's networks of any stack, and host, none and the like
	Secrets    map[string]swarm.Secret
	Configs    map[string]swarm.Config

	networkNames map[string]string // by ID
}

// LiveServices gives the part about the services. It shares the map with l.
func (l *Live) LiveServices() *LiveServices {
	return &LiveServices{Stack: l.Stack, Services: l.Services, networkNames: l.networkNames}
}

// networkName gives the name of a network by the ID that a live service has for it.
func (l *LiveServices) networkName(target string) string {
	if name, ok := l.networkNames[target]; ok {
		return name
	}
	return target
}

// Observe reads everything that a plan for the stack needs.
func (e *Engine) Observe(ctx context.Context, stack *compose.Stack) (*Live, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	live := &Live{
		Stack:    stack.Name,
		Networks: map[string]network.Summary{},
		Secrets:  map[string]swarm.Secret{},
		Configs:  map[string]swarm.Config{},
	}
	reads := []func(context.Context, *Live, *compose.Stack) error{
		e.readServices, e.readNetworks, e.readSecrets, e.readConfigs,
	}
	for _, read := range reads {
		if err := read(ctx, live, stack); err != nil {
			return nil, err
		}
	}
	live.APIVersion = e.api.ClientVersion()
	return live, nil
}

// ObserveServices reads only the services with the stack's label: one call if the names of
// their networks are known.
func (e *Engine) ObserveServices(ctx context.Context, stackName string) (*LiveServices, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	services, err := e.listServices(ctx, stackLabel(stackName))
	if err != nil {
		return nil, err
	}
	names, err := e.namesOfNetworks(ctx, services)
	if err != nil {
		return nil, err
	}
	return &LiveServices{Stack: stackName, Services: services, networkNames: names}, nil
}

func stackLabel(stackName string) filters.Args {
	return filters.NewArgs(filters.Arg("label", compose.LabelStack+"="+stackName))
}

// listServices reads services without insertDefaults: a spec with the engine's defaults
// would restart tasks when it is written back.
func (e *Engine) listServices(ctx context.Context, filter filters.Args) (map[string]swarm.Service, error) {
	list, err := e.api.ServiceList(ctx, swarm.ServiceListOptions{Filters: filter, Status: true})
	if err != nil {
		return nil, e.explain("list services", err)
	}
	services := make(map[string]swarm.Service, len(list))
	for _, service := range list {
		services[service.Spec.Name] = service
	}
	return services, nil
}

func (e *Engine) readServices(ctx context.Context, live *Live, stack *compose.Stack) error {
	services, err := e.listServices(ctx, stackLabel(stack.Name))
	if err != nil {
		return err
	}
	live.Services = services
	// A service that is missing may exist with the label of another stack.
	missing := missingNames(keys(stack.Services), services)
	if len(missing) == 0 {
		return nil
	}
	others, err := e.listServices(ctx, nameFilter(missing))
	if err != nil {
		return err
	}
	for _, name := range missing {
		if service, ok := others[name]; ok {
			services[name] = service
		}
	}
	return nil
}

func (e *Engine) readNetworks(ctx context.Context, live *Live, _ *compose.Stack) error {
	list, err := e.api.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return e.explain("list networks", err)
	}
	for _, one := range list {
		// A local network may share its name with a Swarm network.
		if known, ok := live.Networks[one.Name]; !ok || known.Scope != "swarm" {
			live.Networks[one.Name] = one
		}
		e.nameNetwork(one.ID, one.Name)
	}
	live.networkNames, err = e.namesOfNetworks(ctx, live.Services)
	return err
}

func (e *Engine) nameNetwork(id, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.networks[id] = name
}

// namesOfNetworks gives the names of the networks that services use, by ID. It reads only
// names that are not known yet, each with a call of its own, because some networks, like
// host, are in no list.
func (e *Engine) namesOfNetworks(ctx context.Context, services map[string]swarm.Service) (map[string]string, error) {
	names := map[string]string{}
	for _, service := range services {
		for _, attachment := range slices.Concat(service.Spec.TaskTemplate.Networks, service.Spec.Networks) { //nolint:staticcheck // old services have the deprecated field
			id := attachment.Target
			e.mu.Lock()
			name, known := e.networks[id]
			e.mu.Unlock()
			if !known {
				found, err := e.api.NetworkInspect(ctx, id, network.InspectOptions{Scope: "swarm"})
				if errdefs.IsNotFound(err) {
					continue // it keeps its ID, which differs from every name
				}
				if err != nil {
					return nil, e.explain("read network "+id, err)
				}
				name = found.Name
				e.nameNetwork(id, name)
			}
			names[id] = name
		}
	}
	return names, nil
}

func (e *Engine) readSecrets(ctx context.Context, live *Live, stack *compose.Stack) error {
	wanted := slices.Clone(stack.ExternalSecrets)
	for _, secret := range stack.Secrets {
		wanted = append(wanted, secret.Spec.Name)
	}
	read := func(filter filters.Args) error {
		list, err := e.api.SecretList(ctx, swarm.SecretListOptions{Filters: filter})
		if err != nil {
			return e.explain("list secrets", err)
		}
		for _, secret := range list {
			live.Secrets[secret.Spec.Name] = secret
		}
		return nil
	}
	return readObjects(stack.Name, wanted, live.Secrets, read)
}

func (e *Engine) readConfigs(ctx context.Context, live *Live, stack *compose.Stack) error {
	wanted := slices.Clone(stack.ExternalConfigs)
	for _, config := range stack.Configs {
		wanted = append(wanted, config.Spec.Name)
	}
	read := func(filter filters.Args) error {
		list, err := e.api.ConfigList(ctx, swarm.ConfigListOptions{Filters: filter})
		if err != nil {
			return e.explain("list configs", err)
		}
		for _, config := range list {
			live.Configs[config.Spec.Name] = config
		}
		return nil
	}
	return readObjects(stack.Name, wanted, live.Configs, read)
}

// readObjects reads the objects with the stack's label into found, and then other wanted
// objects by name.
func readObjects[T any](stack string, wanted []string, found map[string]T, read func(filters.Args) error) error {
	if err := read(stackLabel(stack)); err != nil {
		return err
	}
	if missing := missingNames(wanted, found); len(missing) > 0 {
		return read(nameFilter(missing))
	}
	return nil
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

// missingNames lists the wanted names that are not in known, sorted, each once.
func missingNames[T any](wanted []string, known map[string]T) []string {
	var missing []string
	for _, name := range wanted {
		if _, ok := known[name]; !ok {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// keys gives a map's keys, sorted.
func keys[T any](m map[string]T) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
