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
func (r *registries) unresolved(ctx context.Context, answers map[string]Pushed, kept map[string]bool) []string {
	type fate struct {
		registry string
		failure  failure
		kept     bool
		here     bool
	}
	images := map[fate][]string{}
	for _, image := range keys(answers) {
		answer := answers[image]
		if answer.Problem == "" {
			continue
		}
		one := fate{registry: answer.Registry, failure: answer.failure, kept: kept[image]}
		if answer.failure == unknown {
			one.here, _ = r.here(ctx, image) // an error here does not stop the sync
		}
		images[one] = append(images[one], image)
	}
	warnings := make([]string, 0, len(images))
	for fate, names := range images {
		first := answers[names[0]]
		instead := "it is deployed without a digest, and each node uses the image that it finds under the tag"
		switch {
		case fate.kept:
			instead = "the running digest is kept"
		case fate.here:
			instead = "this node has the image, other nodes cannot pull it"
		}
		warnings = append(warnings, fmt.Sprintf("image %s: %s; %s: %s", someOf(names), first.Problem, instead, first.Remedy))
	}
	slices.Sort(warnings)
	return warnings
}

// explain sets why the lookup of an image failed, and the remedy.
func (r *registries) explain(answer *Pushed, why failure, err error) {
	answer.failure, answer.Missing = why, why == unknown
	what := "does not answer"
	answer.Remedy = "make sure that this node can reach it"
	switch {
	case why == unknown:
		what, answer.Remedy = "does not have the image", "check the tag, or push the image"
	case why == refused && answer.Login:
		what, answer.Remedy = "refuses the login of "+r.loginFile, "write a valid login into it"
	case why == refused && r.loginFile != "":
		what, answer.Remedy = "requires a login, or does not have the image", "check the image, or add a login for it to "+r.loginFile
	case why == refused:
		what = "requires a login, or does not have the image"
		answer.Remedy = "check the image, or name a file with a login in registry_config_file"
	}
	reason := strings.TrimPrefix(err.Error(), "Error response from daemon: ")
	answer.Problem = fmt.Sprintf("registry %s %s (%s)", answer.Registry, what, reason)
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
		host := RegistryOf(image)
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
