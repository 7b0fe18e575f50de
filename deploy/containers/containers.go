// Package containers runs a rendered stack as plain containers, on an engine that needs no Swarm:
// from a compose.Stack it makes networks, volumes and containers, and replaces those that differ.
// It changes nothing that has not its own label. Secrets are in files of a tmpfs of this machine,
// never on a disk.
package containers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/visible"
)

// The labels of containers, networks and volumes that this package makes.
const (
	LabelStack   = "coin-agent.run"         // the name of the stack
	LabelService = "coin-agent.run.service" // the name of the service in the compose files
	LabelSum     = "coin-agent.run.sum"     // a digest of what the container was made from
)

// Puller brings an image to the engine, with the login that its registry needs.
type Puller interface {
	Pull(ctx context.Context, image string) error
}

// Options are the options of Run and Stop.
type Options struct {
	API      *client.Client
	Puller   Puller
	Update   bool           // pull also the images that the engine has
	Stack    *compose.Stack // with its secret values
	Files    string         // the folder for secrets and configs, on a tmpfs of this machine; DefaultFiles
	Timeout  time.Duration  // for each wait; 0: ten minutes
	Progress func(line string)
}

// run is one call of Run.
type run struct {
	use Options

	wanted   []wanted
	warnings []string
	live     map[string]container.Summary // by name
	changed  int
}

// Run makes what the stack describes run, and waits for it. It gives what it does otherwise
// than Swarm would, and how many containers it made or removed.
func Run(ctx context.Context, options Options) (warnings []string, changed int, err error) {
	options = complete(options)
	r := &run{use: options}
	if r.wanted, r.warnings, err = translate(options.Stack, options.Files); err != nil {
		return nil, 0, err
	}
	for _, step := range []func(context.Context) error{r.observe, r.networks, r.volumes, r.images, r.files, r.containers, r.surplus, r.settle} {
		if err := step(ctx); err != nil {
			return r.warnings, r.changed, explained(ctx, err)
		}
	}
	return r.warnings, r.changed, nil
}

func complete(options Options) Options {
	if options.Files == "" {
		options.Files = DefaultFiles
	}
	if options.Timeout <= 0 {
		options.Timeout = 10 * time.Minute
	}
	if options.Progress == nil {
		options.Progress = func(string) {}
	}
	return options
}

// explained says what an interrupted command leaves behind.
func explained(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.WithCode(fault.WithHint(fmt.Errorf("interrupted: %w", ctx.Err()), "run the same command again: it makes what is missing"), fault.CodeApply)
	}
	return fault.WithCode(err, fault.CodeApply)
}

func own(stack string) filters.Args {
	return filters.NewArgs(filters.Arg("label", LabelStack+"="+stack))
}

// observe reads the stack's containers.
func (r *run) observe(ctx context.Context) error {
	var err error
	r.live, err = observe(ctx, r.use.API, r.use.Stack.Name)
	return err
}

func observe(ctx context.Context, api *client.Client, stack string) (map[string]container.Summary, error) {
	list, err := api.ContainerList(ctx, container.ListOptions{All: true, Filters: own(stack)})
	if err != nil {
		return nil, fmt.Errorf("list the containers of %s: %w", stack, err)
	}
	live := map[string]container.Summary{}
	for _, one := range list {
		if len(one.Names) > 0 {
			live[strings.TrimPrefix(one.Names[0], "/")] = one
		}
	}
	return live, nil
}

// networks makes the networks that are missing, as bridges of the engine.
func (r *run) networks(ctx context.Context) error {
	for _, name := range sorted(r.use.Stack.Networks) {
		present, err := r.use.API.NetworkInspect(ctx, name, network.InspectOptions{})
		switch {
		case err == nil && present.Labels[LabelStack] == r.use.Stack.Name:
			continue
		case err == nil:
			return foreign("network", name)
		case !errdefs.IsNotFound(err):
			return fmt.Errorf("look for the network %s: %w", name, err)
		}
		options := r.use.Stack.Networks[name]
		made := network.CreateOptions{
			Driver: "bridge", Internal: options.Internal, IPAM: options.IPAM,
			Labels: labelled(options.Labels, r.use.Stack.Name), EnableIPv6: options.EnableIPv6,
		}
		if _, err := r.use.API.NetworkCreate(ctx, name, made); err != nil {
			return fmt.Errorf("create the network %s: %w", name, err)
		}
		r.use.Progress("created network " + name)
	}
	return nil
}

func foreign(kind, name string) error {
	return fault.New(fault.Place{}, "give the stack another name with -w, or remove the "+kind+" by hand", "the %s %s exists and is not of this command", kind, visible.Line(name))
}

func labelled(labels map[string]string, stack string) map[string]string {
	all := map[string]string{LabelStack: stack}
	for name, value := range labels {
		if !strings.HasPrefix(name, "coin-agent.") && name != compose.LabelStack {
			all[name] = value
		}
	}
	return all
}

// images pulls the images that the engine lacks, or all, and notes which one each container gets.
func (r *run) images(ctx context.Context) error {
	ids := map[string]string{}
	for i := range r.wanted {
		name := r.wanted[i].config.Image
		if ids[name] == "" {
			id, err := r.image(ctx, name)
			if err != nil {
				return err
			}
			ids[name] = id
		}
		r.wanted[i].image = ids[name]
	}
	return nil
}

func (r *run) image(ctx context.Context, name string) (string, error) {
	found, err := r.use.API.ImageInspect(ctx, name)
	missing := errdefs.IsNotFound(err)
	if err != nil && !missing {
		return "", fmt.Errorf("look for the image %s: %w", visible.Line(name), err)
	}
	if !missing && !r.use.Update {
		return found.ID, nil
	}
	r.use.Progress("pulling " + name)
	err = r.use.Puller.Pull(ctx, name)
	switch {
	case err == nil:
		found, err = r.use.API.ImageInspect(ctx, name)
	case !missing && ctx.Err() == nil: // it may be built on this machine
		r.warnings = append(r.warnings, visible.Line(err.Error())+"; the image that the engine has is used")
		return found.ID, nil
	}
	if err != nil {
		return "", fault.WithHint(err, "log in to its registry: "+strings.TrimSpace("docker login "+visible.Line(registryOf(name)))+"; if this engine is to build it, build it first")
	}
	return found.ID, nil
}

// registryOf gives what docker login takes for an image; "" for Docker's own registry.
func registryOf(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil || reference.Domain(named) == "docker.io" {
		return ""
	}
	return reference.Domain(named)
}

// containers makes, replaces and starts the containers in the order of their dependencies.
func (r *run) containers(ctx context.Context) error {
	for _, level := range ordered(r.wanted, r.use.Stack.Depends) {
		for _, one := range level {
			if err := r.awaitDependencies(ctx, one); err != nil {
				return err
			}
			if err := r.container(ctx, one); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) container(ctx context.Context, one wanted) error {
	live, exists := r.live[one.name]
	sum := one.sum()
	if exists && live.Labels[LabelSum] == sum && connected(live, one) {
		return r.start(ctx, one, live)
	}
	if exists {
		if err := remove(ctx, r.use.API, live.ID, one.grace()); err != nil {
			return fmt.Errorf("replace the container %s: %w", one.name, err)
		}
		r.use.Progress("removed " + one.name + ", which differs")
	}
	config := one.config
	config.Labels = labelled(config.Labels, r.use.Stack.Name)
	config.Labels[LabelService], config.Labels[LabelSum] = one.service, sum
	made, err := r.use.API.ContainerCreate(ctx, &config, &one.host, one.network(0), nil, one.name)
	if errdefs.IsConflict(err) {
		return foreign("container", one.name)
	}
	if err != nil {
		return fmt.Errorf("create the container %s: %w", one.name, err)
	}
	for i := 1; i < len(one.networks); i++ {
		if err := r.use.API.NetworkConnect(ctx, one.networks[i].name, made.ID, &network.EndpointSettings{Aliases: one.networks[i].aliases}); err != nil {
			return fmt.Errorf("connect the container %s to %s: %w", one.name, one.networks[i].name, err)
		}
	}
	return r.launch(ctx, one.name, made.ID)
}

// connected reports whether a container has all its networks: a run that was interrupted may have
// made it without the second one.
func connected(live container.Summary, one wanted) bool {
	return !slices.ContainsFunc(one.networks, func(to attachment) bool {
		return live.NetworkSettings == nil || live.NetworkSettings.Networks[to.name] == nil
	})
}

// start starts a container that is as wanted. One that has done its job stays.
func (r *run) start(ctx context.Context, one wanted, live container.Summary) error {
	if live.State == "running" || live.State == "restarting" || live.State == "paused" {
		return nil
	}
	if one.job && live.State == "exited" {
		found, err := r.use.API.ContainerInspect(ctx, live.ID)
		if err != nil {
			return fmt.Errorf("look at the container %s: %w", one.name, err)
		}
		if found.State != nil && found.State.ExitCode == 0 {
			return nil
		}
	}
	return r.launch(ctx, one.name, live.ID)
}

func (r *run) launch(ctx context.Context, name, id string) error {
	if err := r.use.API.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return fmt.Errorf("start the container %s: %w", name, err)
	}
	r.changed++
	r.use.Progress("started " + name)
	return nil
}

// surplus removes the stack's containers that it no longer describes.
func (r *run) surplus(ctx context.Context) error {
	for _, name := range sorted(r.live) {
		if slices.ContainsFunc(r.wanted, func(one wanted) bool { return one.name == name }) {
			continue
		}
		if err := remove(ctx, r.use.API, r.live[name].ID, nil); err != nil {
			return fmt.Errorf("remove the container %s: %w", name, err)
		}
		r.changed++
		r.use.Progress("removed " + name)
	}
	return nil
}

// remove stops a container within its time, and removes it with its unnamed volumes.
func remove(ctx context.Context, api *client.Client, id string, grace *int) error {
	if err := api.ContainerStop(ctx, id, container.StopOptions{Timeout: grace}); err != nil && !errdefs.IsNotFound(err) && !errdefs.IsNotModified(err) {
		return err
	}
	err := api.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: true, Force: true})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
