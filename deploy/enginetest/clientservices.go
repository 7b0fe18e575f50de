package enginetest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy"
)

// ServiceList lists services that begin with a name or ID, or carry labels.
func (c *Client) ServiceList(ctx context.Context, options swarm.ServiceListOptions) ([]swarm.Service, error) {
	return ask(ctx, c, Call{Method: "ServiceList", Kind: "service"}, func() ([]swarm.Service, error) {
		var found []*service
		labels := options.Filters.Get("label")
		for _, s := range sorted(c.engine.services) {
			if !named(options.Filters, s.id, s.spec.Name) || !labelled(labels, s.spec.Labels) {
				continue
			}
			found = append(found, s)
		}
		if deploy.SameAnswer(ctx, func() []byte { return identify(found, options.Status) }) {
			return nil, nil
		}
		all := make([]swarm.Service, 0, len(found))
		for _, s := range found {
			one := s.swarm(c.engine)
			if options.Status {
				one.ServiceStatus = s.counts()
			}
			all = append(all, one)
		}
		return all, nil
	})
}

// identify gives text that is the same as long as services are listed alike: each change of one
// gives it another version, but for that of its endpoint and of its tasks.
func identify(services []*service, status bool) (text []byte) {
	for _, s := range services {
		text = fmt.Appendf(text, "%s %d %t", s.id, s.version, s.allocated == s.spec.EndpointSpec)
		if status {
			text = fmt.Appendf(text, " %+v", *s.counts())
		}
		text = append(text, '\n')
	}
	return text
}

// ServiceInspectWithRaw gives a service by its ID or name. The raw form is empty, and
// defaults are never inserted.
func (c *Client) ServiceInspectWithRaw(ctx context.Context, reference string, _ swarm.ServiceInspectOptions) (swarm.Service, []byte, error) {
	found, err := ask(ctx, c, Call{Method: "ServiceInspectWithRaw", Kind: "service", Name: reference}, func() (swarm.Service, error) {
		s, err := c.engine.findService(reference)
		if err != nil {
			return swarm.Service{}, err
		}
		given := s.swarm(c.engine)
		given.Spec = cloneSpec(s.spec) // what is inspected is often changed, and given back
		return given, nil
	})
	return found, nil, err
}

// ServiceCreate makes a service.
func (c *Client) ServiceCreate(ctx context.Context, given swarm.ServiceSpec, _ swarm.ServiceCreateOptions) (swarm.ServiceCreateResponse, error) {
	e := c.engine
	call := Call{Method: "ServiceCreate", Kind: "service", Name: given.Name, Write: true}
	return ask(ctx, c, call, func() (swarm.ServiceCreateResponse, error) {
		spec, err := e.admit(given, nil)
		if err != nil {
			return swarm.ServiceCreateResponse{}, err
		}
		for _, other := range e.services {
			if strings.EqualFold(other.spec.Name, spec.Name) {
				return swarm.ServiceCreateResponse{}, exists("name conflicts with an existing object: service %s already exists", spec.Name)
			}
		}
		return swarm.ServiceCreateResponse{ID: e.createService(spec).id}, nil
	})
}

// ServiceUpdate puts another spec in place of a service's, if the version is the
// newest.
func (c *Client) ServiceUpdate(ctx context.Context, reference string, version swarm.Version, given swarm.ServiceSpec, options swarm.ServiceUpdateOptions) (swarm.ServiceUpdateResponse, error) {
	e := c.engine
	call := Call{Method: "ServiceUpdate", Kind: "service", Name: c.nameOf(reference), Write: true}
	return ask(ctx, c, call, func() (swarm.ServiceUpdateResponse, error) {
		s, err := e.findService(reference)
		if err != nil {
			return swarm.ServiceUpdateResponse{}, err
		}
		spec, err := e.admit(given, s)
		switch {
		case err != nil:
			return swarm.ServiceUpdateResponse{}, err
		case modeOf(s.spec.Mode) != modeOf(spec.Mode):
			return swarm.ServiceUpdateResponse{}, unimplemented("service mode change is not allowed")
		case s.spec.Name != spec.Name:
			return swarm.ServiceUpdateResponse{}, unimplemented("renaming services is not supported")
		case version.Index != s.version:
			return swarm.ServiceUpdateResponse{}, outOfSequence()
		}
		if options.Rollback == "previous" {
			return swarm.ServiceUpdateResponse{}, e.rollBack(s)
		}
		if c.hooks.Updates != nil {
			c.hooks.Updates(s.spec, spec)
		}
		e.updateService(s, version.Index, spec)
		return swarm.ServiceUpdateResponse{}, nil
	})
}

// rollBack swaps the spec of a service with its previous one, as a user may ask.
func (e *Engine) rollBack(s *service) error {
	if s.previous == nil {
		return precondition("service %s does not have a previous spec", s.id)
	}
	e.writeService(s, func() {
		s.spec, s.previous = s.previous, s.spec
		s.specVersion, s.previousVersion = s.previousVersion, s.specVersion
		started := e.now()
		s.status = &swarm.UpdateStatus{State: swarm.UpdateStateRollbackStarted, Message: "manually requested rollback", StartedAt: &started}
	})
	return nil
}

// ServiceRemove removes a service.
func (c *Client) ServiceRemove(ctx context.Context, reference string) error {
	e := c.engine
	return c.call(ctx, Call{Method: "ServiceRemove", Kind: "service", Name: c.nameOf(reference), Write: true}, func() error {
		s, err := e.findService(reference)
		if err == nil {
			e.removeService(s)
		}
		return err
	})
}

// nameOf gives the full name of a service, for hooks.
func (c *Client) nameOf(reference string) string {
	name := reference
	c.engine.do(func() {
		if s, err := c.engine.findService(reference); err == nil {
			name = s.spec.Name
		}
	})
	return name
}

// admit gives a spec as the engine keeps it, unless Swarm refuses it.
func (e *Engine) admit(given swarm.ServiceSpec, own *service) (*swarm.ServiceSpec, error) {
	if given.TaskTemplate.ContainerSpec == nil {
		given.TaskTemplate.ContainerSpec = &swarm.ContainerSpec{}
	}
	spec := e.normalise(given)
	if err := e.attach(spec); err != nil {
		return nil, err
	}
	if err := validate(spec); err != nil {
		return nil, err
	}
	if err := e.checkPorts(spec, own); err != nil {
		return nil, err
	}
	return spec, e.checkObjects(spec.TaskTemplate.ContainerSpec)
}

func modeOf(mode swarm.ServiceMode) string {
	switch {
	case mode.Global != nil:
		return "global"
	case mode.ReplicatedJob != nil:
		return "replicated-job"
	case mode.GlobalJob != nil:
		return "global-job"
	}
	return "replicated"
}

// findService finds a service by its ID or name.
func (e *Engine) findService(reference string) (*service, error) {
	if found := e.services[reference]; found != nil {
		return found, nil
	}
	for _, s := range e.services {
		if s.spec.Name == reference {
			return s, nil
		}
	}
	return nil, notFound("service", reference)
}

// swarm gives a service as the API does.
func (s *service) swarm(e *Engine) swarm.Service {
	given := swarm.Service{
		ID:           s.id,
		Meta:         swarm.Meta{Version: swarm.Version{Index: s.version}, CreatedAt: s.created, UpdatedAt: s.updated},
		Spec:         e.sharing.service(s.spec),
		UpdateStatus: clone(s.status),
	}
	if s.previous != nil {
		previous := e.sharing.service(s.previous)
		given.PreviousSpec = &previous
	}
	if s.allocated != nil {
		given.Endpoint.Spec = clone(*s.allocated)
		given.Endpoint.Ports = clone(s.allocated.Ports)
	}
	if s.job() {
		given.JobStatus = &swarm.JobStatus{JobIteration: swarm.Version{Index: s.iteration}, LastExecution: s.executed}
	}
	return given
}

// cloneSpec copies a spec. Its labels are a map, if an empty one.
func cloneSpec(spec *swarm.ServiceSpec) swarm.ServiceSpec {
	copied := clone(*spec)
	if copied.Labels == nil {
		copied.Labels = map[string]string{}
	}
	return copied
}

// counts gives how many tasks run and are to run.
func (s *service) counts() *swarm.ServiceStatus {
	counts := &swarm.ServiceStatus{}
	switch {
	case s.spec.Mode.Replicated != nil:
		counts.DesiredTasks = *s.spec.Mode.Replicated.Replicas
	case s.spec.Mode.ReplicatedJob != nil:
		counts.DesiredTasks = *s.spec.Mode.ReplicatedJob.MaxConcurrent
	}
	for _, t := range s.tasks {
		if s.job() {
			if t.iteration.Index != s.iteration {
				continue
			}
			if t.stage == stageComplete {
				counts.CompletedTasks++
			}
		}
		if t.stage == stageRunning {
			counts.RunningTasks++
		}
		if s.global() && t.desired == t.goal() && (!s.job() || t.stage != stageComplete) {
			counts.DesiredTasks++
		}
	}
	return counts
}

// TaskList lists tasks by service, node, desired state and the labels that their
// service had.
func (c *Client) TaskList(ctx context.Context, options swarm.TaskListOptions) ([]swarm.Task, error) {
	e := c.engine
	return ask(ctx, c, Call{Method: "TaskList", Kind: "task"}, func() ([]swarm.Task, error) {
		fits, err := e.taskFilter(options.Filters)
		if err != nil {
			return nil, err
		}
		var fitting []*task
		for _, t := range e.tasks {
			if fits(t) {
				fitting = append(fitting, t)
			}
		}
		slices.SortFunc(fitting, func(a, b *task) int { return strings.Compare(a.id, b.id) })
		all := make([]swarm.Task, 0, len(fitting))
		for _, t := range fitting {
			all = append(all, t.swarm(e))
		}
		return all, nil
	})
}

// taskFilter gives a test of tasks. Services and nodes that are not there are an error.
func (e *Engine) taskFilter(filter filters.Args) (func(*task) bool, error) {
	var services []*service
	for _, reference := range filter.Get("service") {
		s, err := e.findService(reference)
		if err != nil {
			return nil, err
		}
		services = append(services, s)
	}
	var nodes []*node
	for _, reference := range filter.Get("node") {
		at := slices.IndexFunc(e.nodes, func(n *node) bool { return n.id == reference || n.hostname == reference })
		if at < 0 {
			return nil, notFound("node", reference)
		}
		nodes = append(nodes, e.nodes[at])
	}
	states, labels, names := filter.Get("desired-state"), filter.Get("label"), filter.Contains("id") || filter.Contains("name")
	return func(t *task) bool {
		return (len(services) == 0 || slices.Contains(services, t.service)) &&
			(len(nodes) == 0 || slices.Contains(nodes, t.node)) &&
			(len(states) == 0 || slices.Contains(states, string(stages[t.desired]))) &&
			(!names || named(filter, t.id, t.name())) && labelled(labels, t.labels)
	}, nil
}

// swarm gives a task as the API does: its spec names no runtime.
func (t *task) swarm(e *Engine) swarm.Task {
	given := swarm.Task{
		ID:           t.id,
		Meta:         swarm.Meta{Version: swarm.Version{Index: t.version}, CreatedAt: t.created, UpdatedAt: t.updated},
		Annotations:  swarm.Annotations{Labels: map[string]string{}},
		Spec:         e.sharing.task(t.spec),
		ServiceID:    t.service.id,
		Slot:         t.number,
		DesiredState: stages[t.desired],
		JobIteration: clone(t.iteration),
		Status:       swarm.TaskStatus{Timestamp: t.changed, State: stages[t.stage], Message: t.message, Err: t.problem},
	}
	given.Spec.Runtime = ""
	if t.node != nil {
		given.NodeID = t.node.id
	}
	if c := t.container; c != nil {
		given.Status.ContainerStatus = &swarm.ContainerStatus{ContainerID: c.id, ExitCode: c.exit}
		if !c.started.IsZero() && !c.exited {
			given.Status.ContainerStatus.PID = 1000
		}
	}
	return given
}
