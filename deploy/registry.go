package deploy

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"
)

const (
	// lookupLimit is the time limit of one request to a registry, so that a slow
	// registry does not delay a rollout for long.
	lookupLimit = 10 * time.Second

	// lookupsAtOnce is how many requests run at once.
	lookupsAtOnce = 4
)

// lookup is what a registry answered about an image.
type lookup struct {
	registry  string
	image     string // with its digest
	platforms []swarm.Platform
	login     bool // credentials were sent
	failure   failure
	err       error
}

// failure is why a lookup failed.
type failure string

const (
	silent  failure = "silent"  // the registry does not answer, or its answer is not a registry's
	refused failure = "refused" // it requires a login, or a different one
	unknown failure = "unknown" // it does not have the image
)

// lookUp asks the registries for images through the engine, once for each image. It
// does not ask a registry again that did not answer.
func (e *Engine) lookUp(ctx context.Context, images []string) (map[string]lookup, error) {
	answers := make(map[string]lookup, len(images))
	if len(images) == 0 {
		return answers, nil
	}
	logins, err := e.readLogins()
	if err != nil {
		return nil, err
	}
	var (
		group sync.WaitGroup
		mu    sync.Mutex // guards all below
		errs  []error
		down  = map[string]lookup{}
		room  = make(chan struct{}, lookupsAtOnce)
	)
	for _, image := range images {
		room <- struct{}{}
		mu.Lock()
		answer, isDown := down[registryOf(image)]
		if isDown {
			answers[image] = answer
		}
		mu.Unlock()
		if isDown {
			<-room
			continue
		}
		group.Add(1)
		go func() {
			defer group.Done()
			defer func() { <-room }()
			answer, err := e.ask(ctx, logins, image)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			}
			if answer.failure == silent {
				down[answer.registry] = answer
			}
			answers[image] = answer
		}()
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return answers, ctx.Err()
}

// ask asks one registry for one image. The error is about the engine or the
// credentials; an error of the registry is in the lookup.
func (e *Engine) ask(ctx context.Context, logins *keyring, image string) (lookup, error) {
	answer := lookup{registry: registryOf(image), image: image}
	credentials, err := logins.of(ctx, answer.registry)
	if err != nil {
		return answer, err
	}
	answer.login = credentials.header != ""
	limited, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	found, err := e.api.DistributionInspect(limited, image, credentials.header)
	switch {
	case ctx.Err() != nil:
		return answer, ctx.Err()
	case limited.Err() != nil:
		answer.failure, answer.err = silent, errors.New("it did not answer within "+lookupLimit.String())
	case client.IsErrConnectionFailed(err):
		return answer, e.explain("look up image "+image, err)
	case err != nil:
		answer.failure, answer.err = failureOf(err), credentials.withhold(err)
	default:
		answer.image, answer.platforms = withDigest(image, found), platformsOf(found)
	}
	return answer, nil
}

// failureOf derives the failure from the engine's error about a registry.
func failureOf(err error) failure {
	text := err.Error()
	says := func(words ...string) bool {
		for _, word := range words {
			if strings.Contains(text, word) {
				return true
			}
		}
		return false
	}
	switch {
	case says("no basic auth credentials", "unauthorized", "denied", "401 Unauthorized", "403 Forbidden"),
		errdefs.IsUnauthorized(err), errdefs.IsPermissionDenied(err):
		return refused
	case says("manifest unknown", "name unknown", "not found"), errdefs.IsNotFound(err), errdefs.IsInvalidArgument(err):
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
