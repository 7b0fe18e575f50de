package deploy

import (
	"slices"
	"strings"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// show adds to a plan what people read and its digest does not contain: what created
// services have, and what created and changed services grant their containers. It hides the
// values of environment variables that look random.
func (p *draft) show(live *Live, want *compose.Stack) {
	for i := range p.Steps {
		step := &p.Steps[i]
		if spec, wanted := want.Services[step.Name]; wanted && step.Kind == Service && step.Action == Create {
			step.Has = contents(spec)
		}
	}
	changed := Plan(*p).Changed()
	p.Grants = slices.DeleteFunc(Grants(live, want), func(g compose.Grant) bool { return !slices.Contains(changed, g.Service) })
	p.hideValues()
}

// Grants lists what lets containers of the stack act on the node or on others, with secrets
// in it masked. What the live services have already is marked.
func Grants(live *Live, want *compose.Stack) []compose.Grant {
	before, grants := compose.Grants(running(live, want)), compose.Grants(want)
	for i := range grants {
		grants[i].Kept = slices.Contains(before, grants[i])
		grants[i].What = cut(clean(grants[i].What))
	}
	return grants
}

// running gives the live services as a stack, with what decides whether an object is its own.
func running(live *Live, want *compose.Stack) *compose.Stack {
	stack := &compose.Stack{Name: want.Name, Services: map[string]swarm.ServiceSpec{}, Networks: map[string]network.CreateOptions{}}
	for name, service := range live.Services {
		stack.Services[name] = service.Spec
	}
	for name, one := range live.Networks {
		if one.Labels[compose.LabelStack] != want.Name {
			continue
		}
		// The engine shows driver and options only when a node uses the network.
		shown := network.CreateOptions{Driver: one.Driver, Options: ownOptions(one, want.Networks[name].Options)}
		if one.Driver == "" {
			shown = want.Networks[name]
		}
		stack.Networks[name] = shown
	}
	for name, secret := range live.Secrets {
		if secret.Spec.Labels[compose.LabelStack] != want.Name {
			stack.ExternalSecrets = append(stack.ExternalSecrets, name)
		}
	}
	for name, config := range live.Configs {
		if config.Spec.Labels[compose.LabelStack] != want.Name {
			stack.ExternalConfigs = append(stack.ExternalConfigs, name)
		}
	}
	return stack
}

// hideValues hides the values of environment variables that must not be shown.
func (p *draft) hideValues() {
	for i := range p.Steps {
		p.Steps[i].Changes = slices.Clone(p.Steps[i].Changes)
		for j := range p.Steps[i].Changes {
			change := &p.Steps[i].Changes[j]
			if name, ok := strings.CutPrefix(change.Path, "TaskTemplate.ContainerSpec.Env["); ok {
				name = strings.TrimSuffix(name, "]")
				change.Old, change.New = shownValue(name, change.Old), shownValue(name, change.New)
			}
		}
	}
}

// contentPaths are the paths of what a plan lists of a created service, besides its image.
var contentPaths = []string{
	"TaskTemplate.Runtime", "TaskTemplate.Networks", "TaskTemplate.Resources.Reservations.GenericResources", "Networks", "EndpointSpec.Ports",
	"TaskTemplate.ContainerSpec.Command", "TaskTemplate.ContainerSpec.Args", "TaskTemplate.ContainerSpec.User", "TaskTemplate.ContainerSpec.Groups",
	"TaskTemplate.ContainerSpec.Privileges", "TaskTemplate.ContainerSpec.Mounts", "TaskTemplate.ContainerSpec.Secrets", "TaskTemplate.ContainerSpec.Configs",
	"TaskTemplate.ContainerSpec.Sysctls", "TaskTemplate.ContainerSpec.Capability",
}

// contents gives what a created service has, by its differences from an empty service.
func contents(spec swarm.ServiceSpec) []Change {
	return slices.DeleteFunc(serviceChanges(swarm.ServiceSpec{}, spec), func(c Change) bool {
		return c.New == "" || c.New == "{}" || !slices.ContainsFunc(contentPaths, func(path string) bool { return strings.HasPrefix(c.Path, path) })
	})
}
