package deploy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

// MissingImages names the images, sorted, that are neither on an engine's node nor in their
// registry, as far as the node's logins can read it.
func MissingImages(ctx context.Context, engine *Engine, images []string) ([]string, error) {
	missing, err := engine.registries.missing(ctx, images, nil)
	return keys(missing), err
}

// missing gives the answers about those of the images that are neither on this node nor in
// their registry. It does not ask again for what is known.
func (r *registries) missing(ctx context.Context, images []string, known map[string]Pushed) (map[string]Pushed, error) {
	missing := map[string]Pushed{}
	var unknown []string
	for _, image := range slices.Compact(slices.Sorted(slices.Values(images))) {
		answer, asked := known[image]
		if asked && answer.Problem == "" {
			continue
		}
		here, err := r.here(ctx, image)
		switch {
		case err != nil:
			return nil, err
		case here:
		case asked:
			missing[image] = answer
		default:
			unknown = append(unknown, image)
		}
	}
	answers, err := r.lookUp(ctx, unknown)
	for image, answer := range answers {
		if answer.Problem != "" {
			missing[image] = answer
		}
	}
	return missing, err
}

// here tells whether this node has the image.
func (r *registries) here(ctx context.Context, name string) (bool, error) {
	_, err := timed(ctx, func(ctx context.Context) (image.InspectResponse, error) { return r.api.ImageInspect(ctx, name) })
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, r.engine.explain("look for image "+name, err)
}

// RefuseMissing refuses a plan, before anything is written, that starts tasks whose images
// are neither on this node nor in their registry. The failure is transient if a registry
// or the engine could not be asked. Instead of an error it gives warnings
//   - if config.yml's images.missing is warn,
//   - for an image whose registry requires a login, if the agent has none and the services
//     may have their own,
//   - in a Swarm of several nodes, for an image that another node may have: because its
//     registry could not be asked, or because the services run it already,
//   - there, for a plan that returns to what ran before.
func (e *Engine) RefuseMissing(ctx context.Context, plan Plan, of Resolution, returns bool) (warnings []string, err error) {
	users := plan.starts(of.Stack)
	missing, err := e.registries.missing(ctx, keys(users), of.answers)
	if err != nil || len(missing) == 0 {
		return nil, fault.Transient(err)
	}
	info, err := e.Info(ctx)
	if err != nil {
		return nil, fault.Transient(err)
	}
	held := absences{}
	transient := true
	for _, image := range keys(missing) {
		answer := missing[image]
		elsewhere := info.Nodes > 1 && (returns || !answer.Missing || plan.runAlready(users[image], image))
		login := answer.failure == refused && !answer.Login && plan.ownLogins(users[image], answer.Registry)
		if !elsewhere && !login && !of.Stack.WarnMissing {
			held.add(image, users[image], answer)
			transient = transient && !answer.Missing
			continue
		}
		if _, warned := of.answers[image]; !warned {
			warnings = append(warnings, "image "+image+" of "+someOf(users[image])+" is not on this node, and "+answer.Problem+": "+answer.Remedy)
		}
	}
	if err = held.err(); transient {
		err = fault.Transient(err)
	}
	return warnings, err
}

// absences are images that a plan needs and that are nowhere, by what their registries answered:
// a registry that is away is one error, whatever the number of its images.
type absences map[string]*absence

type absence struct {
	images, services []string
	problem, remedy  string
}

// add takes an image, the services that need it, and its registry's answer.
func (a absences) add(image string, services []string, answer Pushed) {
	key := answer.Problem
	if answer.Missing {
		key = image
	}
	if a[key] == nil {
		a[key] = &absence{problem: answer.Problem, remedy: answer.Remedy}
	}
	one := a[key]
	one.images, one.services = append(one.images, image), append(one.services, services...)
}

// err gives the errors, sorted by the first image of each.
func (a absences) err() error {
	all := slices.SortedFunc(maps.Values(a), func(a, b *absence) int { return strings.Compare(a.images[0], b.images[0]) })
	var held []error
	for _, one := range all {
		verb, images := "is", "image "+one.images[0]+" of "+someOf(one.services)
		if len(one.images) > 1 {
			verb, images = "are", "images "+someOf(one.images)+" of "+plural.Count(len(one.services), "service")
		}
		held = append(held, fault.New(fault.Place{}, one.remedy+"; with images.missing: warn in config.yml the agent rolls out without it",
			"%s %s not on this node, and %s", images, verb, one.problem))
	}
	return errors.Join(held...)
}

// starts gives the services of which the plan starts tasks, sorted, by the images that it
// writes: a service that exists keeps what the stack ignores.
func (p Plan) starts(want *compose.Stack) map[string][]string {
	users := map[string][]string{}
	for _, step := range p.Steps {
		spec := want.Services[step.Name]
		if p.live != nil {
			spec = keep(want, step.Name, p.live.Services[step.Name].Spec)
		}
		image := containerOf(spec).Image
		if step.Kind == Service && step.Action != Remove && step.Action != ScaleDown && step.Restarts && image != "" && !Idle(spec) &&
			!slices.Contains(users[image], step.Name) {
			users[image] = append(users[image], step.Name)
		}
	}
	for _, names := range users {
		slices.Sort(names)
	}
	return users
}

// runAlready tells whether the live services run the image.
func (p Plan) runAlready(services []string, image string) bool {
	return p.live != nil && !slices.ContainsFunc(services, func(name string) bool {
		running := containerOf(p.live.Services[name].Spec).Image
		tag, _, _ := strings.Cut(running, "@")
		return running != image && tag != image
	})
}

// ownLogins tells whether the services may have logins of their own for a registry: they run
// an image of it, and an update without a login keeps theirs. The engine does not show logins.
func (p Plan) ownLogins(services []string, registry string) bool {
	anew := func(step Step) bool {
		return step.Kind == Service && (step.Action == Create || step.Action == Replace) && slices.Contains(services, step.Name)
	}
	return p.live != nil && !slices.ContainsFunc(p.Steps, anew) && !slices.ContainsFunc(services, func(name string) bool {
		return RegistryOf(containerOf(p.live.Services[name].Spec).Image) != registry
	})
}
