package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/policy"
)

// registries are those that a preview may ask about images: those of what runs, and all of them
// where the policy says which images commits may name. A branch without a review makes the
// node connect to no other machine.
type registries struct {
	all  bool
	used map[string]bool
}

// learn adds the registries of what runs.
func (r *registries) learn(live deploy.LiveServices) {
	for _, service := range live {
		if container := service.Spec.TaskTemplate.ContainerSpec; container != nil {
			r.used[deploy.RegistryOf(container.Image)] = true
		}
	}
}

func (r *registries) may(image string) bool { return r.all || r.used[deploy.RegistryOf(image)] }

// split gives a stack without the services whose images' registries may not be asked, and the
// images of those by full name.
func (r *registries) split(want *compose.Stack) (asked *compose.Stack, left map[string]string) {
	part := *want
	part.Services, left = maps.Clone(want.Services), map[string]string{}
	for name, spec := range want.Services {
		if container := spec.TaskTemplate.ContainerSpec; container != nil && !r.may(container.Image) {
			left[name] = container.Image
			delete(part.Services, name)
		}
	}
	return &part, left
}

// Resolve asks for the digests of the images whose registries may be asked. The others stay as
// they are, each with a warning.
func (e lookingEngine) Resolve(ctx context.Context, live deploy.LiveServices, want *compose.Stack) (deploy.Resolution, error) {
	e.registries.learn(live)
	asked, left := e.registries.split(want)
	resolved, err := e.engine.Resolve(ctx, live, asked)
	if err != nil || len(left) == 0 {
		return resolved, err
	}
	whole := *resolved.Stack
	whole.Services = maps.Clone(whole.Services)
	for _, name := range slices.Sorted(maps.Keys(left)) {
		whole.Services[name] = want.Services[name]
		resolved.Warnings = append(resolved.Warnings, fmt.Sprintf(
			"image %s of %s is not resolved, and no signature of it is looked for: no service that runs uses the registry %s, and neither policy.registries nor policy.images allows it",
			left[name], strings.TrimPrefix(name, want.Name+"_"), deploy.RegistryOf(left[name])))
	}
	resolved.Stack = &whole
	return resolved, nil
}

// RefuseMissing looks for the images whose registries may be asked.
func (e lookingEngine) RefuseMissing(ctx context.Context, plan deploy.Plan, of deploy.Resolution, returns bool) ([]string, error) {
	asked, left := e.registries.split(of.Stack)
	of.Stack = asked
	plan.Steps = slices.DeleteFunc(slices.Clone(plan.Steps), func(step deploy.Step) bool { return step.Kind == deploy.Service && left[step.Name] != "" })
	return e.engine.RefuseMissing(ctx, plan, of, returns)
}

// lookingSigners look for the signatures of images whose registries may be asked.
type lookingSigners struct {
	signers    imageSigners
	registries *registries
}

func (l lookingSigners) Judge(ctx context.Context, rules *policy.Policy, stack *compose.Stack, images map[string]string) (signing.Verdict, error) {
	asked := maps.Clone(images)
	maps.DeleteFunc(asked, func(_, image string) bool { return !l.registries.may(image) })
	return l.signers.Judge(ctx, rules, stack, asked)
}
