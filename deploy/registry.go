package deploy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"

	"coin.internal/coin-agent/internal/lazyregexp"
)

const (
	// lookupLimit is the time limit of one request to a registry, so that a slow
	// registry does not delay a rollout for long.
	lookupLimit = 10 * time.Second

	// lookupsAtOnce is how many requests run at once.
	lookupsAtOnce = 8
)

// Pushed is what an image's registry answered about it.
type Pushed struct {
	Image    string
	Registry string
	Login    bool   // there are credentials for the registry
	Missing  bool   // the registry answered that the image does not exist
	Problem  string // why the image was not found; "" if it was
	Remedy   string

	pinned    string // the image with its digest
	platforms []swarm.Platform
	failure   failure
	down      bool // there was no answer at all
}

// failure is why a lookup failed.
type failure string

const (
	silent  failure = "silent"  // the registry does not answer, or its answer is not a registry's
	refused failure = "refused" // it requires a login, or a different one
	unknown failure = "unknown" // it does not have the image
)

// absent matches the words of Harbor ("unknown: artifact a/b:1 not found") and of the
// containerd image store ("r/a/b:1: not found") for an image that does not exist. What a
// proxy says ("unknown: 404 page not found") is not about the image.
var absent = lazyregexp.New(`((artifact|repository|project) \S+|\S:\S+:) not found\s*$`)

// registries asks registries through the engine, with the node's logins.
type registries struct {
	api       HostAPI
	engine    address
	loginFile string // registry credentials; "" for none
}

// lookUp asks the registries for images, once for each image, and for none that is known in the
// context (AskOnce). It does not ask a registry again that does not answer at all; an answer
// about one image says nothing about others.
func (r *registries) lookUp(ctx context.Context, images []string) (map[string]Pushed, error) {
	answers := make(map[string]Pushed, len(images))
	if len(images) == 0 {
		return answers, nil
	}
	logins, err := r.readLogins()
	if err != nil {
		return nil, err
	}
	var (
		mu   sync.Mutex // guards answers and the variables below
		errs []error
		down = map[string]Pushed{}
	)
	known := foundIn(ctx)
	begin := func(i int) bool {
		mu.Lock()
		defer mu.Unlock()
		answer, there := known.of(images[i])
		if !there {
			answer, there = down[RegistryOf(images[i])]
			answer.Image = images[i]
		}
		if there {
			answers[images[i]] = answer
		}
		return !there
	}
	inParallel(len(images), lookupsAtOnce, begin, func(i int) {
		answer, err := r.ask(ctx, logins, images[i])
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
		if answer.down {
			down[answer.Registry] = answer
		}
		answers[images[i]] = answer
		if err == nil {
			known.keep(answer)
		}
	})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return answers, ctx.Err()
}

// ask asks one registry for one image. The error is about the engine or the
// credentials; an error of the registry is in the answer.
func (r *registries) ask(ctx context.Context, logins *keyring, image string) (Pushed, error) {
	answer := Pushed{Image: image, Registry: RegistryOf(image)}
	credentials, err := logins.of(ctx, answer.Registry)
	if err != nil {
		return answer, err
	}
	answer.Login = credentials.header != ""
	limited, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	found, err := r.api.DistributionInspect(limited, image, credentials.header)
	switch {
	case ctx.Err() != nil:
		return answer, ctx.Err()
	case limited.Err() != nil:
		answer.down = true
		r.explain(&answer, silent, errors.New("it did not answer within "+lookupLimit.String()))
	case client.IsErrConnectionFailed(err):
		return answer, r.engine.explain("look up image "+image, err)
	case err != nil:
		// A registry that is a proxy may quote its own failed connection: "unknown: … dial tcp …".
		answer.down = strings.Contains(err.Error(), "dial tcp") && !strings.Contains(err.Error(), "unknown: ")
		r.explain(&answer, failureOf(err), credentials.withhold(err))
	default:
		answer.pinned, answer.platforms = withDigest(image, found), platformsOf(found)
	}
	return answer, nil
}

// failureOf derives the failure from the engine's error about a registry.
func failureOf(err error) failure {
	text := err.Error()
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
	}
	switch {
	case says("no basic auth credentials", "unauthorized", "denied", "401 Unauthorized", "403 Forbidden"),
		errdefs.IsUnauthorized(err), errdefs.IsPermissionDenied(err):
		return refused
	case says("manifest unknown", "name unknown"), absent().MatchString(text), errdefs.IsNotFound(err), errdefs.IsInvalidArgument(err):
		return unknown
	}
	return silent
}

// withDigest adds the digest to an image without one.
func withDigest(image string, found registry.DistributionInspect) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return image
	}
	if _, canonical := named.(reference.Canonical); canonical {
		return image
	}
	full, err := reference.WithDigest(named, found.Descriptor.Digest)
	if err != nil {
		return image
	}
	return reference.FamiliarString(full)
}

// platformsOf gives platforms in the form that services have. The architecture of an arm
// image stays empty, as with the docker CLI, because nodes use another name (armv7l).
func platformsOf(found registry.DistributionInspect) []swarm.Platform {
	platforms := make([]swarm.Platform, 0, len(found.Platforms))
	for _, one := range found.Platforms {
		architecture := one.Architecture
		if strings.EqualFold(architecture, "arm") {
			architecture = ""
		}
		platforms = append(platforms, swarm.Platform{Architecture: architecture, OS: one.OS})
	}
	return platforms
}
