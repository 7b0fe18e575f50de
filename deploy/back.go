package deploy

import (
	"maps"
	"slices"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// Back is the way back to a stack that ran before.
type Back struct {
	Stack  *compose.Stack // what to plan and apply
	Follow *compose.Stack // what has to be well after it: Stack without its jobs
	Left   []string       // jobs that are not as they were, and are left so; sorted
}

// Backwards makes of a stack that ran before what to go back to. A job is never
// run again: where one is there, it is left as it is, in whatever version, and
// where it is not, it is not made. Where only is not empty, only those services,
// by full name, go back, and all others are left as they are.
func Backwards(live *LiveServices, before *compose.Stack, only []string) Back {
	stack, follow := *before, *before
	stack.Services, follow.Services = map[string]swarm.ServiceSpec{}, map[string]swarm.ServiceSpec{}
	back := Back{Stack: &stack, Follow: &follow}
	goes := func(name string) bool { return len(only) == 0 || slices.Contains(only, name) }
	for _, name := range keys(before.Services) {
		spec := before.Services[name]
		existing, there := live.Services[name]
		switch {
		case !goes(name):
		case !endsByItself(before.Name, spec) && (!there || !endsByItself(before.Name, existing.Spec)):
			stack.Services[name], follow.Services[name] = spec, spec
		case !there:
			back.Left = append(back.Left, name)
		default:
			stack.Services[name] = left(existing.Spec, live)
			if len(serviceChanges(existing.Spec, spec, live.networkName)) > 0 {
				back.Left = append(back.Left, name)
			}
		}
	}
	if len(only) == 0 {
		return back
	}
	for name, existing := range live.Services {
		if goes(name) || existing.Spec.Labels[compose.LabelStack] != before.Name {
			continue
		}
		stack.Services[name] = left(existing.Spec, live)
		if !endsByItself(before.Name, existing.Spec) {
			follow.Services[name] = stack.Services[name]
		}
	}
	narrowed(&stack, only)
	return back
}

// GoesBack tells whether going back from one stack to another one that ran before it
// would do something: to any of its services, or to those that only names. A job
// counts where it is named.
func GoesBack(from, to *compose.Stack, only []string) bool {
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
		return runs != ran || !runs || len(serviceChanges(now, then, func(name string) string { return name })) > 0
	})
}

// ScaledUp gives the live services as they are without the effect of an interrupted
// rollout: those cron services that it left at 0 have the replicas of scaledDown.
func (l *LiveServices) ScaledUp(scaledDown map[string]uint64) *LiveServices {
	up := *l
	up.Services = maps.Clone(l.Services)
	for name, n := range scaledDown {
		if service, there := up.Services[name]; there && service.Spec.Mode.Replicated != nil && replicas(service.Spec) == 0 {
			service.Spec = scaledTo(service.Spec, n)
			up.Services[name] = service
		}
	}
	return &up
}

// left is the spec of a service that stays as it is, with its networks by their names:
// their IDs are the engine's, and what is recorded outlives them.
func left(spec swarm.ServiceSpec, live *LiveServices) swarm.ServiceSpec {
	spec.TaskTemplate.Networks = canonicalNetworks(spec.TaskTemplate.Networks, live.networkName)
	return spec
}

// endsByItself tells whether a service runs to its end, so that a write would run
// it again.
func endsByItself(stack string, spec swarm.ServiceSpec) bool {
	return isJob(spec.Mode) || oneShot(stack, spec)
}

// narrowed leaves a stack only those objects that some of its services use.
func narrowed(stack *compose.Stack, services []string) {
	networks, secrets, configs := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, name := range services {
		task := stack.Services[name].TaskTemplate
		for _, attachment := range task.Networks {
			networks[attachment.Target] = true
		}
		if task.ContainerSpec == nil {
			continue
		}
		for _, reference := range task.ContainerSpec.Secrets {
			secrets[reference.SecretName] = true
		}
		for _, reference := range task.ContainerSpec.Configs {
			configs[reference.ConfigName] = true
		}
	}
	unused := func(used map[string]bool) func(string) bool { return func(name string) bool { return !used[name] } }
	stack.Networks = maps.Clone(stack.Networks)
	maps.DeleteFunc(stack.Networks, func(name string, _ network.CreateOptions) bool { return !networks[name] })
	stack.Secrets = slices.DeleteFunc(slices.Clone(stack.Secrets), func(s compose.Secret) bool { return !secrets[s.Spec.Name] })
	stack.Configs = slices.DeleteFunc(slices.Clone(stack.Configs), func(c compose.Config) bool { return !configs[c.Spec.Name] })
	stack.ExternalNetworks = slices.DeleteFunc(slices.Clone(stack.ExternalNetworks), unused(networks))
	stack.ExternalSecrets = slices.DeleteFunc(slices.Clone(stack.ExternalSecrets), unused(secrets))
	stack.ExternalConfigs = slices.DeleteFunc(slices.Clone(stack.ExternalConfigs), unused(configs))
}
