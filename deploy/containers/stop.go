package containers

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"coin.internal/coin-agent/internal/fault"
)

// Stop removes the containers and networks that Run made for a stack, and the files of its
// secrets; with volumes also the volumes that Run made, with their data. Options.Stack needs its
// name only.
func Stop(ctx context.Context, options Options, volumes bool) (removed int, err error) {
	options = complete(options)
	s := &stopping{use: options}
	steps := []func(context.Context) error{s.containers, s.networks}
	if volumes {
		steps = append(steps, s.volumes)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return s.removed, explained(ctx, err)
		}
	}
	return s.removed, fault.WithCode(forget(options.Files, options.Stack.Name), fault.CodeApply)
}

type stopping struct {
	use Options

	removed int
}

func (s *stopping) note(kind, name string) {
	s.removed++
	s.use.Progress("removed " + kind + " " + name)
}

func (s *stopping) containers(ctx context.Context) error {
	live, err := observe(ctx, s.use.API, s.use.Stack.Name)
	if err != nil {
		return err
	}
	for _, name := range sorted(live) {
		if err := remove(ctx, s.use.API, live[name].ID, nil); err != nil {
			return fmt.Errorf("remove the container %s: %w", name, err)
		}
		s.note("container", name)
	}
	return nil
}

func (s *stopping) networks(ctx context.Context) error {
	list, err := s.use.API.NetworkList(ctx, network.ListOptions{Filters: own(s.use.Stack.Name)})
	if err != nil {
		return fmt.Errorf("list the networks of %s: %w", s.use.Stack.Name, err)
	}
	for _, one := range list {
		if err := s.use.API.NetworkRemove(ctx, one.ID); err != nil && !errdefs.IsNotFound(err) {
			return fault.WithHint(fmt.Errorf("remove the network %s: %w", one.Name, err), "remove the containers of others from it first: docker network inspect "+one.Name)
		}
		s.note("network", one.Name)
	}
	return nil
}

func (s *stopping) volumes(ctx context.Context) error {
	list, err := s.use.API.VolumeList(ctx, volume.ListOptions{Filters: own(s.use.Stack.Name)})
	if err != nil {
		return fmt.Errorf("list the volumes of %s: %w", s.use.Stack.Name, err)
	}
	for _, one := range list.Volumes {
		if err := s.use.API.VolumeRemove(ctx, one.Name, false); err != nil && !errdefs.IsNotFound(err) {
			return fault.WithHint(fmt.Errorf("remove the volume %s: %w", one.Name, err), "find out who uses it: docker ps --all --filter volume="+one.Name)
		}
		s.note("volume", one.Name)
	}
	return nil
}
