package deploy

import (
	"maps"
	"slices"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// Rollback is what a rollback to a stack that ran before applies and verifies.
type Rollback struct {
	Stack  *compose.Stack // what to plan and apply
	Verify *compose.Stack // what has to be healthy afterwards: Stack without its jobs
	Left   []string       // jobs that differ from the stack before and are left so, sorted
	Kept   []string       // services and jobs that stay as they are
}

// RollbackTo gives the rollback to a stack that ran before. A rollback never runs a job
// again: a job that exists stays as it is, in any version, and a job that does not exist
// is not created. If only is not empty, the services that it names by full name are
// rolled back and all others stay as they are: they declare what the deployed stack does in
// the fields that it ignores, and their live values in all others.
func RollbackTo(live LiveServices, before, deployed *compose.Stack, only []string) Rollback {
	stack, verify, ignored := *before, *before, map[string][]compose.Ignored{}
	stack.Services, verify.Services = map[string]swarm.ServiceSpec{}, map[string]swarm.ServiceSpec{}
	maps.Copy(ignored, before.Ignored)
	stack.Ignored, verify.Ignored = ignored, ignored
	rollback := Rollback{Stack: &stack, Verify: &verify}
	stays := func(name string) {
		now := compose.Stack{Name: before.Name, Services: map[string]swarm.ServiceSpec{name: live[name].Spec}, Ignored: deployed.Ignored}
		stack.Services[name], ignored[name] = keep(&now, name, deployed.Services[name]), deployed.Ignored[name]
		rollback.Kept = append(rollback.Kept, name)
	}
	included := func(name string) bool { return len(only) == 0 || slices.Contains(only, name) }
	for _, name := range keys(before.Services) {
		spec := before.Services[name]
		existing, exists := live[name]
		switch {
		case !included(name):
		case !endsByItself(before.Name, spec) && (!exists || !endsByItself(before.Name, existing.Spec)):
			stack.Services[name], verify.Services[name] = spec, spec
		case !exists:
			rollback.Left = append(rollback.Left, name)
		default:
			stays(name)
			if len(serviceChanges(existing.Spec, spec)) > 0 {
				rollback.Left = append(rollback.Left, name)
			}
		}
	}
	if len(only) == 0 {
		return rollback
	}
	for _, name := range keys(live) {
		existing := live[name]
		if included(name) || existing.Spec.Labels[compose.LabelStack] != before.Name {
			continue
		}
		stays(name)
		if !endsByItself(before.Name, existing.Spec) {
			verify.Services[name] = stack.Services[name]
		}
	}
	keepUsedObjects(&stack, only)
	return rollback
}

// Leave gives a stack with the live specs of the named services, so that no plan writes
// them; one that does not exist is not created.
func Leave(stack *compose.Stack, live LiveServices, names []string) *compose.Stack {
	if len(names) == 0 {
		return stack
	}
	left := *stack
	left.Services = maps.Clone(stack.Services)
	for _, name := range names {
		if existing, exists := live[name]; exists {
			left.Services[name] = existing.Spec
		} else {
			delete(left.Services, name)
		}
	}
	return &left
}

// RollbackChanges tells whether a rollback from one stack to one that ran before it
// would change a service, or one of those that only names. A job counts if only names
// it.
func RollbackChanges(from, to *compose.Stack, only []string) bool {
	names := only
	if len(only) == 0 {
		names = slices.Concat(keys(from.Services), keys(to.Services))
	}
	return slices.ContainsFunc(names, func(name string) bool {
		now, runs := from.Services[name]
		then, ran := to.Services[name]
		if runs && endsByItself(from.Name, now) || ran && endsByItself(to.Name, then) {
			return len(only) > 0
		}
		return runs != ran || !runs || len(serviceChanges(now, then)) > 0
	})
}

// endsByItself tells whether the tasks of a service end, so that a write would run them
// again.
func endsByItself(stack string, spec swarm.ServiceSpec) bool {
	return isJob(spec.Mode) || oneShot(stack, spec)
}

// keepUsedObjects takes from a stack the objects that none of the named services uses.
func keepUsedObjects(stack *compose.Stack, services []string) {
	used := map[object]bool{}
	for _, name := range services {
		spec := stack.Services[name]
		for _, attachment := range spec.TaskTemplate.Networks {
			used[object{Network, attachment.Target}] = true
		}
		for _, one := range references(spec) {
			used[object{one.kind, one.name}] = true
		}
	}
	unused := func(kind Kind) func(string) bool { return func(name string) bool { return !used[object{kind, name}] } }
	stack.Networks = maps.Clone(stack.Networks)
	maps.DeleteFunc(stack.Networks, func(name string, _ network.CreateOptions) bool { return !used[object{Network, name}] })
	stack.Secrets = slices.DeleteFunc(slices.Clone(stack.Secrets), func(s compose.Secret) bool { return !used[object{Secret, s.Spec.Name}] })
	stack.Configs = slices.DeleteFunc(slices.Clone(stack.Configs), func(c compose.Config) bool { return !used[object{Config, c.Spec.Name}] })
	stack.ExternalNetworks = slices.DeleteFunc(slices.Clone(stack.ExternalNetworks), unused(Network))
	stack.ExternalSecrets = slices.DeleteFunc(slices.Clone(stack.ExternalSecrets), unused(Secret))
	stack.ExternalConfigs = slices.DeleteFunc(slices.Clone(stack.ExternalConfigs), unused(Config))
}
