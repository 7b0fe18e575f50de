package deploy

import (
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// show adds to a plan what people read and its digest does not contain: what created
// services have, and what created and changed services grant their containers. It hides the
// values of environment variables that look random.
func (p *Plan) show(want *compose.Stack) {
	for i := range p.Steps {
		step := &p.Steps[i]
		if spec, wanted := want.Services[step.Name]; wanted && step.Kind == Service && step.Action == Create {
			step.Has = contents(spec)
		}
	}
	changed := p.Changed()
	p.Grants = slices.DeleteFunc(Grants(want), func(g compose.Grant) bool { return !slices.Contains(changed, g.Service) })
	p.hideValues()
}

// Grants lists what lets containers of the stack act on the node or on others, with secrets
// in it masked.
func Grants(want *compose.Stack) []compose.Grant {
	grants := compose.Grants(want)
	for i := range grants {
		grants[i].What = cut(clean(grants[i].What))
	}
	return grants
}

// hideValues hides the values of environment variables that must not be shown.
func (p *Plan) hideValues() {
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
