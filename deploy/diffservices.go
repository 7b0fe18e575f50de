package deploy

import (
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// addServices plans the services of the stack: it creates missing ones, updates those
// that differ, and removes those that the stack does not want any more.
func (p *draft) addServices(live LiveServices, want *compose.Stack) {
	for _, name := range keys(want.Services) {
		existing, ok := live[name]
		if !ok {
			p.Steps = append(p.Steps, creation(name, want.Services[name]))
			continue
		}
		spec := keep(want, name, existing.Spec)
		if modeName(existing.Spec.Mode) != modeName(spec.Mode) || endsInRollback(want.Name, existing.Spec, spec) {
			p.Steps = append(p.Steps, Step{
				Action: Replace, Kind: Service, Name: name, Restarts: true, Sum: sumOf(want.Services[name]), phase: phaseServices,
				Changes: serviceChanges(existing.Spec, spec),
			})
			continue
		}
		if step, differs := alteration(existing.Spec, spec); differs {
			step.Sum = sumOf(want.Services[name]) // what stays of the live service changes by itself
			p.Steps = append(p.Steps, step)
			if existing.Spec.Labels[compose.LabelOwner] == "" && want.Owner != "" {
				p.Adopted = append(p.Adopted, name)
			}
		}
	}
	for _, name := range keys(live) {
		existing := live[name]
		if _, wanted := want.Services[name]; wanted || existing.Spec.Labels[compose.LabelStack] != want.Name {
			continue
		}
		p.Steps = append(p.Steps, Step{Action: Remove, Kind: Service, Name: name, Restarts: true, phase: phaseRemove})
	}
	p.releasePorts(live, want)
}

// endsInRollback tells whether Swarm would roll back the update of a one-shot service even
// if its task succeeds. Swarm treats any ended task as failed, also with exit code 0. If
// the failure action is rollback, it then writes the old spec and runs the old task
// again. A new service has no old spec.
func endsInRollback(stack string, live, want swarm.ServiceSpec) bool {
	update := want.UpdateConfig
	if update == nil || update.FailureAction != swarm.UpdateFailureActionRollback || !oneShot(stack, want) || replicas(want) == 0 {
		return false
	}
	return restarts(live, serviceChanges(live, want))
}

func creation(name string, spec swarm.ServiceSpec) Step {
	step := Step{Action: Create, Kind: Service, Name: name, Restarts: true, Sum: sumOf(spec), phase: phaseServices}
	if spec.TaskTemplate.ContainerSpec != nil {
		step.Changes = []Change{{Path: "TaskTemplate.ContainerSpec.Image", New: spec.TaskTemplate.ContainerSpec.Image}}
	}
	if mode := modeName(spec.Mode); mode != "replicated" {
		step.Changes = append(step.Changes, Change{Path: "Mode", New: mode})
	}
	return step
}

// alteration plans the update of one service if it differs, without the Sum of what is wanted.
func alteration(live, want swarm.ServiceSpec) (Step, bool) {
	changes := serviceChanges(live, want)
	if len(changes) == 0 {
		return Step{}, false
	}
	return Step{
		Action: Update, Kind: Service, Name: want.Name, Changes: changes,
		Restarts: restarts(live, changes), phase: phaseServices,
	}, true
}

// serviceChanges compares the spec that would be written with the live one.
func serviceChanges(live, want swarm.ServiceSpec) []Change {
	live = clone(live)
	written := settle(want, live)
	canonicalise(&live)
	canonicalise(&written)
	return fieldChanges(live, written)
}

// restarts tells whether Swarm replaces tasks for these changes: it does for the task
// template except its placement, and for the endpoint. Any write runs a job again.
func restarts(live swarm.ServiceSpec, changes []Change) bool {
	if isJob(live.Mode) {
		return true
	}
	return slices.ContainsFunc(changes, func(c Change) bool {
		if strings.HasPrefix(c.Path, "TaskTemplate.Placement") {
			return false
		}
		return strings.HasPrefix(c.Path, "TaskTemplate") || strings.HasPrefix(c.Path, "EndpointSpec") || strings.HasPrefix(c.Path, "Networks")
	})
}

func modeName(mode swarm.ServiceMode) string {
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

// addCron scales cron services down before other services of the stack change, and scales
// them up again after all other services. If only labels change, cron services keep
// running.
func (p *draft) addCron(live LiveServices, want *compose.Stack) {
	disturbs := p.disturbs()
	for i := range p.Steps {
		step := &p.Steps[i]
		if step.Kind == Service && step.Action != Remove && isCron(want.Name, step.Name) {
			step.phase = phaseCronBack
		}
	}
	if !disturbs {
		return
	}
	for _, name := range keys(live) {
		existing := live[name]
		if !isCron(want.Name, name) || existing.Spec.Labels[compose.LabelStack] != want.Name || replicas(existing.Spec) == 0 {
			continue
		}
		down := scaledTo(existing.Spec, 0)
		p.Steps = append(p.Steps, Step{
			Action: ScaleDown, Kind: Service, Name: name, Restarts: true, phase: phaseCronDown,
			Changes: serviceChanges(existing.Spec, down),
		})
		spec, wanted := want.Services[name]
		if !wanted || modeName(spec.Mode) != modeName(existing.Spec.Mode) {
			continue // it is removed or replaced
		}
		p.Steps = slices.DeleteFunc(p.Steps, func(s Step) bool {
			return s.Kind == Service && s.Name == name && s.Action == Update
		})
		if back, differs := alteration(down, keep(want, name, existing.Spec)); differs {
			back.phase, back.Sum = phaseCronBack, sumOf(spec)
			p.Steps = append(p.Steps, back)
		}
	}
}

// disturbs tells whether the plan changes more than labels of services.
func (p *draft) disturbs() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return !s.LabelsOnly() })
}

// isCron tells by its name whether a service is a cron service: <stack>_cron….
func isCron(stack, service string) bool {
	return strings.Contains(strings.TrimPrefix(service, stack), "_cron")
}

// replicas gives the replicas of a replicated service; 0 for other modes.
func replicas(spec swarm.ServiceSpec) uint64 {
	mode := canonicalMode(spec.Mode)
	if mode.Replicated == nil {
		return 0
	}
	return *mode.Replicated.Replicas
}

func scaledTo(spec swarm.ServiceSpec, count uint64) swarm.ServiceSpec {
	spec.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &count}}
	return spec
}
