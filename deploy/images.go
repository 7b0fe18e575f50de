package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// Resolve gives the stack with its images as they are to run: name:tag@digest,
// so that every node runs the same content. Like `docker stack deploy
// --resolve-image` it asks the registries for what the stack's Resolve says: each
// image, the images of services whose image text changed, or none; what it does
// not ask for keeps the running digest. So does what no registry tells of; an
// image that did not run before then stays as it is written, and warnings say so.
// The stack that is passed is left as it is.
func (e *Engine) Resolve(ctx context.Context, live *LiveServices, want *compose.Stack) (*compose.Stack, []string, error) {
	resolved := *want
	resolved.Services = maps.Clone(want.Services)
	wanted := map[string]bool{}
	for name, spec := range want.Services {
		if container := spec.TaskTemplate.ContainerSpec; container != nil && asks(want.Resolve, spec, live.Services[name].Spec) {
			wanted[container.Image] = true
		}
	}
	answers, err := e.lookUp(ctx, keys(wanted))
	if err != nil {
		return nil, nil, err
	}
	kept := map[string]bool{} // images that run and could not be looked up
	for name, spec := range want.Services {
		if spec.TaskTemplate.ContainerSpec == nil {
			continue
		}
		running := live.Services[name].Spec
		answer, asked := answers[spec.TaskTemplate.ContainerSpec.Image]
		switch {
		case asked && asks(want.Resolve, spec, running) && answer.err == nil:
			spec = pinned(spec, answer)
		case sameTag(spec, running):
			kept[spec.TaskTemplate.ContainerSpec.Image] = true
			spec = withImage(spec, running.TaskTemplate.ContainerSpec.Image)
		}
		resolved.Services[name] = spec
	}
	return &resolved, e.unresolved(ctx, answers, kept), nil
}

// asks tells whether a service's image is to be looked up.
func asks(resolve compose.Resolve, want, live swarm.ServiceSpec) bool {
	switch resolve {
	case compose.ResolveNever:
		return false
	case compose.ResolveAlways:
		// What the file pins by digest cannot move.
		return !sameTag(want, live) || !strings.Contains(want.TaskTemplate.ContainerSpec.Image, "@")
	case compose.ResolveChanged:
	}
	return !sameTag(want, live) || want.Labels[compose.LabelImage] != live.Labels[compose.LabelImage]
}

// sameTag tells whether the live service runs the wanted image, of any digest
// where the wanted one names none.
func sameTag(want, live swarm.ServiceSpec) bool {
	if live.TaskTemplate.ContainerSpec == nil {
		return false
	}
	image, running := want.TaskTemplate.ContainerSpec.Image, live.TaskTemplate.ContainerSpec.Image
	tag, _, _ := strings.Cut(running, "@")
	return running == image || tag == image
}

// withImage gives a spec with another image; the argument is left as it is.
func withImage(spec swarm.ServiceSpec, image string) swarm.ServiceSpec {
	container := *spec.TaskTemplate.ContainerSpec
	container.Image = image
	spec.TaskTemplate.ContainerSpec = &container
	return spec
}

// pinned gives a spec with what the registry told of its image: the digest, and
// the platforms, by which Swarm chooses nodes.
func pinned(spec swarm.ServiceSpec, answer lookup) swarm.ServiceSpec {
	spec = withImage(spec, answer.image)
	if len(answer.platforms) == 0 {
		return spec
	}
	placement := swarm.Placement{}
	if spec.TaskTemplate.Placement != nil {
		placement = *spec.TaskTemplate.Placement
	}
	placement.Platforms = slices.Clone(answer.platforms)
	spec.TaskTemplate.Placement = &placement
	return spec
}

// MissingImages names those of the images, sorted, that are neither on this
// node nor in their registry, as far as the node's logins show it.
func (e *Engine) MissingImages(ctx context.Context, images []string) ([]string, error) {
	var elsewhere []string
	for _, image := range slices.Compact(slices.Sorted(slices.Values(images))) {
		here, err := e.here(ctx, image)
		if err != nil {
			return nil, err
		}
		if !here {
			elsewhere = append(elsewhere, image)
		}
	}
	answers, err := e.lookUp(ctx, elsewhere)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(elsewhere, func(image string) bool { return answers[image].err == nil }), nil
}

// here tells whether this node has the image.
func (e *Engine) here(ctx context.Context, image string) (bool, error) {
	_, err := e.api.ImageInspect(ctx, image)
	if err == nil || errdefs.IsNotFound(err) {
		return err == nil, nil
	}
	return false, e.explain(fmt.Sprintf("look for image %s", image), err)
}

// Unresolved gives an applied stack with its images as they were written, so
// that Resolve asks for them anew. The stack that is passed is left as it is.
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
