package deploy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// Resolve gives the stack with its images as name:tag@digest, so that every node runs the
// same content. Like `docker stack deploy --resolve-image` it asks the registries for the
// images that the stack's Resolve selects: all, those of services whose image text
// changed, or none. An image that it does not ask for, or that cannot be looked up, keeps
// the running digest. If such an image did not run before, it stays without a digest, and
// a warning says so. Resolve does not change the stack that is passed.
func (e *Engine) Resolve(ctx context.Context, live LiveServices, want *compose.Stack) (*compose.Stack, []string, error) {
	resolved := *want
	resolved.Services = maps.Clone(want.Services)
	wanted := map[string]bool{}
	for name, spec := range want.Services {
		if spec.TaskTemplate.ContainerSpec != nil && asks(want.Resolve, spec, live[name].Spec) {
			wanted[containerOf(spec).Image] = true
		}
	}
	answers, err := e.registries.lookUp(ctx, keys(wanted))
	if err != nil {
		return nil, nil, err
	}
	kept := map[string]bool{} // images that run and could not be looked up
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
	}
	return &resolved, e.registries.unresolved(ctx, answers, kept), nil
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

// MissingImages names the images, sorted, that are neither on this node nor in their
// registry, as far as the node's logins can read it.
func (e *Engine) MissingImages(ctx context.Context, images []string) ([]string, error) {
	var elsewhere []string
	for _, image := range slices.Compact(slices.Sorted(slices.Values(images))) {
		here, err := e.registries.here(ctx, image)
		if err != nil {
			return nil, err
		}
		if !here {
			elsewhere = append(elsewhere, image)
		}
	}
	answers, err := e.registries.lookUp(ctx, elsewhere)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(elsewhere, func(image string) bool { return answers[image].Problem == "" }), nil
}

// here tells whether this node has the image.
func (r *registries) here(ctx context.Context, image string) (bool, error) {
	_, err := r.api.ImageInspect(ctx, image)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, r.engine.explain("look for image "+image, err)
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
