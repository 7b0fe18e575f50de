package deploy

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// mostNamed is how many images one warning names at most.
const mostNamed = 5

// unresolved gives a warning for the images that could not be looked up: which images,
// why, what happens instead, and the remedy. Images with the same reason and consequence
// share a warning.
func (r *registries) unresolved(ctx context.Context, answers map[string]lookup, kept map[string]bool) []string {
	type fate struct {
		registry string
		failure  failure
		kept     bool
		here     bool
	}
	images := map[fate][]string{}
	for _, image := range keys(answers) {
		answer := answers[image]
		if answer.err == nil {
			continue
		}
		one := fate{registry: answer.registry, failure: answer.failure, kept: kept[image]}
		if answer.failure == unknown {
			one.here, _ = r.here(ctx, image) // an error here does not stop the sync
		}
		images[one] = append(images[one], image)
	}
	warnings := make([]string, 0, len(images))
	for fate, names := range images {
		first := answers[names[0]]
		why, remedy := r.explain(first)
		instead := "it is deployed without a digest, and each node uses the image that it finds under the tag"
		switch {
		case fate.kept:
			instead = "the running digest is kept"
		case fate.here:
			instead = "this node has the image, other nodes cannot pull it"
		}
		warnings = append(warnings, fmt.Sprintf("image %s: %s; %s: %s", someOf(names), why, instead, remedy))
	}
	slices.Sort(warnings)
	return warnings
}

// explain gives the reason why a lookup failed, and the remedy.
func (r *registries) explain(answer lookup) (why, remedy string) {
	reason := strings.TrimPrefix(answer.err.Error(), "Error response from daemon: ")
	switch answer.failure {
	case refused:
		switch {
		case answer.login:
			return fmt.Sprintf("registry %s refuses the login of %s (%s)", answer.registry, r.loginFile, reason),
				"write a valid login into it"
		case r.loginFile != "":
			return fmt.Sprintf("registry %s requires a login, or does not have the image (%s)", answer.registry, reason),
				"check the image, or add a login for it to " + r.loginFile
		}
		return fmt.Sprintf("registry %s requires a login, or does not have the image (%s)", answer.registry, reason),
			"check the image, or name a file with a login in registry_config_file"
	case unknown:
		return fmt.Sprintf("registry %s does not have the image (%s)", answer.registry, reason), "check the tag, or push the image"
	case silent:
	}
	return fmt.Sprintf("registry %s does not answer (%s)", answer.registry, reason), "make sure that this node can reach it: `agent doctor` checks it"
}

func someOf(names []string) string {
	if len(names) <= mostNamed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNamed], ", "), len(names)-mostNamed)
}

// Registries asks each registry of the images for one of its images, with the node's
// logins, and gives the answers, sorted by registry. The answer that the image does not
// exist is not a problem.
func (e *Engine) Registries(ctx context.Context, images []string) ([]Pushed, error) {
	one := map[string]string{}
	for _, image := range slices.Sorted(slices.Values(images)) {
		host := registryOf(image)
		one[host] = cmp.Or(one[host], image)
	}
	answers, err := e.Pushed(ctx, slices.Collect(maps.Values(one)))
	for i := range answers {
		if answers[i].Missing {
			answers[i].Problem, answers[i].Remedy = "", ""
		}
	}
	slices.SortFunc(answers, func(a, b Pushed) int { return strings.Compare(a.Registry, b.Registry) })
	return answers, err
}
