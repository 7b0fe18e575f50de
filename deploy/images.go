package deploy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// Resolution is a stack with the digests of its images.
type Resolution struct {
	Stack    *compose.Stack
	Warnings []string // about images whose digest is not known

	answers map[string]Pushed // of the registries that were asked, by the image in Stack
}

// Resolve gives the stack with its images as name:tag@digest, so that every node runs the
// same content. Like `docker stack deploy --resolve-image` it asks the registries for the
// images that the stack's Resolve selects: all, those of services whose image text
// changed, or none. An image that it does not ask for, or that cannot be looked up, keeps
// the running digest. If such an image did not run before, it stays without a digest, and
// a warning says so, unless the stack ignores the image. Resolve does not change the stack
// that is passed.
func (e *Engine) Resolve(ctx context.Context, live LiveServices, want *compose.Stack) (Resolution, error) {
	resolved := *want
	resolution := Resolution{Stack: &resolved, answers: map[string]Pushed{}}
	resolved.Services = maps.Clone(want.Services)
	wanted := map[string]bool{}
	for name, spec := range want.Services {
		if spec.TaskTemplate.ContainerSpec != nil && asks(want.Resolve, spec, live[name].Spec) {
			wanted[containerOf(spec).Image] = true
		}
	}
	answers, err := e.registries.lookUp(ctx, keys(wanted))
	if err != nil {
		return Resolution{}, err
	}
	kept := map[string]bool{}      // images that run and could not be looked up
	written := map[string]Pushed{} // answers about images that the stack does not ignore
	for name, spec := range want.Services {
		if spec.TaskTemplate.ContainerSpec == nil {
			continue
		}
		running := live[name].Spec
		answer, asked := answers[spec.TaskTemplate.ContainerSpec.Image]
		switch {
		case asked && asks(want.Resolve, spec, running) && answer.Problem == "":
			spec = pinned(spec, answer)
		case sameTag(spec, running):
			kept[spec.TaskTemplate.ContainerSpec.Image] = true
			spec = withImage(spec, running.TaskTemplate.ContainerSpec.Image)
		}
		resolved.Services[name] = spec
		if asked && containerOf(keep(want, name, running)).Image == answer.Image {
			written[answer.Image] = answer
			resolution.answers[spec.TaskTemplate.ContainerSpec.Image] = answer
		}
	}
	resolution.Warnings = e.registries.unresolved(ctx, written, kept)
	return resolution, nil
}

// asks tells whether the image of a service is to be looked up.
func asks(resolve compose.Resolve, want, live swarm.ServiceSpec) bool {
	switch resolve {
	case compose.ResolveNever:
		return false
	case compose.ResolveAlways:
		// An image that the file gives with a digest cannot change.
		return !sameTag(want, live) || !strings.Contains(want.TaskTemplate.ContainerSpec.Image, "@")
	case compose.ResolveChanged:
	}
	return !sameTag(want, live) || want.Labels[compose.LabelImage] != live.Labels[compose.LabelImage]
}

// sameTag tells whether the live service runs the wanted image, with any digest if the
// wanted image has none.
func sameTag(want, live swarm.ServiceSpec) bool {
	if live.TaskTemplate.ContainerSpec == nil {
		return false
	}
	image, running := want.TaskTemplate.ContainerSpec.Image, live.TaskTemplate.ContainerSpec.Image
	tag, _, _ := strings.Cut(running, "@")
	return running == image || tag == image
}

// withImage gives a copy of a spec with another image.
func withImage(spec swarm.ServiceSpec, image string) swarm.ServiceSpec {
	spec = clone(spec)
	spec.TaskTemplate.ContainerSpec.Image = image
	return spec
}

// pinned gives a copy of a spec with the digest and the platforms of its image, by which Swarm
// chooses nodes.
func pinned(spec swarm.ServiceSpec, answer Pushed) swarm.ServiceSpec {
	spec = withImage(spec, answer.pinned)
	if len(answer.platforms) > 0 {
		fill(&spec.TaskTemplate.Placement, &swarm.Placement{})
		spec.TaskTemplate.Placement.Platforms = slices.Clone(answer.platforms)
	}
	return spec
}

// Unresolved gives an applied stack with its images as they were written, so that Resolve
// asks for them again. It does not change the stack that is passed.
func Unresolved(applied *compose.Stack) *compose.Stack {
	written := *applied
	written.Services = maps.Clone(applied.Services)
	for name, spec := range applied.Services {
		if spec.TaskTemplate.ContainerSpec == nil || strings.Contains(spec.Labels[compose.LabelImage], "@") {
			continue
		}
		tag, _, _ := strings.Cut(spec.TaskTemplate.ContainerSpec.Image, "@")
		written.Services[name] = withImage(spec, tag)
	}
	return &written
}

// Images gives the image that each service of a stack will run, by the service's full name. A
// service whose image another process may change keeps the live one.
func Images(stack *compose.Stack, live LiveServices) map[string]string {
	images := make(map[string]string, len(stack.Services))
	for name := range stack.Services {
		if image := containerOf(keep(stack, name, live[name].Spec)).Image; image != "" {
			images[name] = image
		}
	}
	return images
}
