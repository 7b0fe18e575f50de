package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"

	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/examples/local"
)

// world is what the tools work on: one engine behind the counting proxy, with a registry, and
// one repository.
type world struct {
	dir      string
	engine   *swarmtest.Private
	api      *client.Client // of the engine itself, so that what the tool asks does not count
	proxy    *proxy
	registry string // its address
	repo     *repository
	cleanUp  local.CleanUp
}

// open starts a private engine, the one of SWARM_TEST_ENGINE, with images for so many services.
func (w *world) open(ctx context.Context, images int) (err error) {
	if w.dir, err = os.MkdirTemp("/tmp", "coin-compare-"); err != nil { // paths of sockets must be short
		return fmt.Errorf("make a folder: %w", err)
	}
	w.cleanUp.Later("remove the folder", func() error { return os.RemoveAll(w.dir) })
	if w.engine, err = swarmtest.Start(ctx, ""); err != nil {
		return err
	}
	w.cleanUp.Later("stop the engine", w.engine.Stop)
	if w.api, err = client.NewClientWithOpts(client.WithHost(w.engine.Host), client.WithAPIVersionNegotiation()); err != nil {
		return fmt.Errorf("connect to the engine: %w", err)
	}
	w.cleanUp.Later("end the connection to the engine", w.api.Close)
	if w.proxy, err = newProxy(w.dir, w.engine.Host); err != nil {
		return err
	}
	w.cleanUp.Later("stop the proxy", w.proxy.close)
	if w.repo, err = newRepository(ctx, filepath.Join(w.dir, "git")); err != nil {
		return err
	}
	w.cleanUp.Later("stop the git server", w.repo.close)
	if err := w.startRegistry(ctx); err != nil {
		return err
	}
	return w.pushImages(ctx, images)
}

// verify checks that the engine has exactly the services of an estate, each with its release
// and the digest of its image.
func (w *world) verify(ctx context.Context, e *estate) error {
	live, err := w.api.ServiceList(ctx, swarm.ServiceListOptions{})
	if err != nil {
		return fmt.Errorf("list the services: %w", err)
	}
	if want := e.stacks * e.services; len(live) != want {
		return fmt.Errorf("the engine has %d services, not %d", len(live), want)
	}
	specs := map[string]*swarm.ContainerSpec{}
	for _, one := range live {
		specs[one.Spec.Name] = one.Spec.TaskTemplate.ContainerSpec
	}
	for stack, releases := range e.releases {
		for i, release := range releases {
			name := stack + "_" + service(i)
			spec := specs[name]
			switch {
			case spec == nil:
				return fmt.Errorf("the engine has no service %s", name)
			case !slices.Contains(spec.Env, fmt.Sprintf("RELEASE=%d", release)):
				return fmt.Errorf("the service %s is not at release %d", name, release)
			case !strings.HasPrefix(spec.Image, e.image(stack, i)+"@sha256:"):
				return fmt.Errorf("the image of the service %s is %s, without a digest", name, spec.Image)
			}
		}
	}
	return nil
}

// clear removes all services, configs and networks of stacks, and waits until they are gone.
func (w *world) clear(ctx context.Context) error {
	return until(ctx, patience, func() error {
		left := 0
		for _, remove := range []func(context.Context) (int, error){w.removeServices, w.removeConfigs, w.removeNetworks} {
			removed, err := remove(ctx)
			if err != nil {
				return err
			}
			left += removed
		}
		if left > 0 {
			return fmt.Errorf("%d objects are left", left)
		}
		return nil
	})
}

func (w *world) removeServices(ctx context.Context) (int, error) {
	all, err := w.api.ServiceList(ctx, swarm.ServiceListOptions{})
	for _, one := range all {
		err = errors.Join(err, w.api.ServiceRemove(ctx, one.ID))
	}
	return len(all), err
}

func (w *world) removeConfigs(ctx context.Context) (int, error) {
	all, err := w.api.ConfigList(ctx, swarm.ConfigListOptions{})
	for _, one := range all {
		err = errors.Join(err, w.api.ConfigRemove(ctx, one.ID))
	}
	return len(all), err
}

func (w *world) removeNetworks(ctx context.Context) (int, error) {
	all, err := w.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "com.docker.stack.namespace"))})
	for _, one := range all {
		err = errors.Join(err, w.api.NetworkRemove(ctx, one.ID))
	}
	return len(all), err
}
