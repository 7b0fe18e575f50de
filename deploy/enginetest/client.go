package enginetest

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	dockerimage "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Call is one call to the engine.
type Call struct {
	Method string // of docker's client, such as "ServiceUpdate"
	Kind   string // of the object: "service", "task", "network", "secret", "config", "node", "container", "image", "engine"
	Name   string // the object's full name, or what the call names; "" of listings
	Write  bool   // it changes what Swarm has stored
}

// Hooks are called at each call of a client, without the engine's lock: they may call
// the engine, block until ctx ends, or end the goroutine.
type Hooks struct {
	// Before is called before the engine sees a call. With an error of it the engine
	// never does.
	Before func(ctx context.Context, call Call) error
	// After is called when the engine has done what it was asked, or has refused it. An
	// error of it stands for the lost answer.
	After func(ctx context.Context, call Call) error
	// Updates is called with the specs of a service around an update that the engine takes. It must not call the
	// engine, nor change a spec.
	Updates func(before, after *swarm.ServiceSpec)
	// Logs gives what a task has printed, as the engine sends it; nil for what its container
	// printed when it started, without times.
	Logs func(task string, options container.LogsOptions) (io.ReadCloser, error)
}

// Client is docker's client of a simulated engine, as far as package deploy uses it.
// It may be used concurrently.
type Client struct {
	engine *Engine
	hooks  Hooks
}

// Client gives a client of the engine, with hooks of its own.
func (e *Engine) Client(hooks Hooks) *Client { return &Client{engine: e, hooks: hooks} }

// call makes one call to the engine.
func (c *Client) call(ctx context.Context, call Call, act func() error) error {
	if c.hooks.Before != nil {
		if err := c.hooks.Before(ctx, call); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var result error
	c.engine.do(func() {
		if c.engine.down {
			result = unreachable(c.engine.options.Host)
			return
		}
		result = act()
	})
	if c.hooks.After != nil {
		if err := c.hooks.After(ctx, call); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return result
}

// ask makes a call that gives a value.
func ask[T any](ctx context.Context, c *Client, call Call, act func() (T, error)) (T, error) {
	var value T
	err := c.call(ctx, call, func() (err error) {
		value, err = act()
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return value, nil
}

// DaemonHost gives the engine's address.
func (c *Client) DaemonHost() string { return c.engine.options.Host }

// Close does nothing: there is no connection.
func (c *Client) Close() error { return nil }

// ClientVersion gives the API version of client and engine.
func (c *Client) ClientVersion() string { return c.engine.options.APIVersion }

// NegotiateAPIVersion does nothing: the versions are equal.
func (c *Client) NegotiateAPIVersion(context.Context) {}

// Info gives the engine's state.
func (c *Client) Info(ctx context.Context) (system.Info, error) {
	e := c.engine
	return ask(ctx, c, Call{Method: "Info", Kind: "engine"}, func() (system.Info, error) {
		info := system.Info{
			ID: "SIMULATED", Name: e.nodes[0].hostname, ServerVersion: e.options.EngineVersion, DockerRootDir: "/var/lib/docker",
			OSType: "linux", Architecture: "x86_64",
		}
		info.Swarm = swarm.Info{
			NodeID: e.nodes[0].id, NodeAddr: "127.0.0.1", LocalNodeState: swarm.LocalNodeStateActive, ControlAvailable: true,
			Nodes: len(e.nodes), Managers: len(e.nodes),
		}
		return info, nil
	})
}

// NodeInspectWithRaw gives a node by its ID or hostname. The raw form is empty.
func (c *Client) NodeInspectWithRaw(ctx context.Context, reference string) (swarm.Node, []byte, error) {
	found, err := ask(ctx, c, Call{Method: "NodeInspectWithRaw", Kind: "node", Name: reference}, func() (swarm.Node, error) {
		for _, one := range c.engine.nodes {
			if one.id == reference || one.hostname == reference {
				return one.swarm(), nil
			}
		}
		return swarm.Node{}, notFound("node", reference)
	})
	return found, nil, err
}

// ImageInspect describes an image that the node has.
func (c *Client) ImageInspect(ctx context.Context, name string, _ ...client.ImageInspectOption) (dockerimage.InspectResponse, error) {
	return ask(ctx, c, Call{Method: "ImageInspect", Kind: "image", Name: name}, func() (dockerimage.InspectResponse, error) {
		found := c.engine.images.find(name)
		if found == nil || !found.here && !found.behave(&swarm.ContainerSpec{}).Local {
			return dockerimage.InspectResponse{}, &answer{text: "No such image: " + name, kind: errNotFound}
		}
		return dockerimage.InspectResponse{ID: found.digest, RepoTags: []string{name}, Os: "linux", Architecture: "amd64"}, nil
	})
}

// DistributionInspect asks the registry of an image.
func (c *Client) DistributionInspect(ctx context.Context, name, _ string) (registry.DistributionInspect, error) {
	return ask(ctx, c, Call{Method: "DistributionInspect", Kind: "image", Name: name}, func() (registry.DistributionInspect, error) {
		found := c.engine.images.find(name)
		b := found.behave(&swarm.ContainerSpec{})
		switch {
		case b.Unreachable:
			return registry.DistributionInspect{}, &answer{text: "Get https://registry/v2/: dial tcp: lookup registry: network is unreachable", kind: errInternal}
		case b.Unpulled != "":
			return registry.DistributionInspect{}, &answer{text: b.Unpulled, kind: errInternal}
		case b.Missing || b.Local:
			return registry.DistributionInspect{}, &answer{text: "manifest unknown: manifest unknown", kind: errNotFound}
		}
		return registry.DistributionInspect{
			Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest(found.digest), Size: 1000},
			Platforms:  []ocispec.Platform{{Architecture: "amd64", OS: "linux"}},
		}, nil
	})
}

// findContainer finds the task that has a container on the node that is asked.
func (e *Engine) findContainer(id string) (*task, error) {
	for _, t := range e.tasks {
		if t.container != nil && t.container.id == id && t.node == e.nodes[0] {
			return t, nil
		}
	}
	return nil, &answer{text: "No such container: " + id, kind: errNotFound}
}

// ContainerInspect describes a container, its health included.
func (c *Client) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	return ask(ctx, c, Call{Method: "ContainerInspect", Kind: "container", Name: id}, func() (container.InspectResponse, error) {
		t, err := c.engine.findContainer(id)
		if err != nil {
			return container.InspectResponse{}, err
		}
		has := t.container
		state := &container.State{Running: !has.exited && !has.started.IsZero(), ExitCode: has.exit, StartedAt: has.started.UTC().Format(time.RFC3339Nano)}
		if has.health != "" {
			state.Health = &container.Health{Status: has.health}
			for _, one := range has.checks {
				state.Health.Log = append(state.Health.Log, &container.HealthcheckResult{Start: one.at, End: one.at, ExitCode: one.exit, Output: one.says})
			}
		}
		return container.InspectResponse{
			ContainerJSONBase: &container.ContainerJSONBase{ID: id, Name: "/" + t.name(), State: state},
			Config:            &container.Config{Image: t.spec.ContainerSpec.Image, Labels: t.swarmLabels()},
		}, nil
	})
}

// TaskLogs gives what the container of a task has printed.
func (c *Client) TaskLogs(ctx context.Context, id string, options container.LogsOptions) (io.ReadCloser, error) {
	return ask(ctx, c, Call{Method: "TaskLogs", Kind: "task", Name: id}, func() (io.ReadCloser, error) {
		t := c.engine.tasks[id]
		if t == nil {
			return nil, notFound("task", id)
		}
		if c.hooks.Logs != nil {
			return c.hooks.Logs(id, options)
		}
		var text bytes.Buffer
		if t.container != nil && !t.container.started.IsZero() {
			var out io.Writer = &text
			if !t.spec.ContainerSpec.TTY {
				out = stdcopy.NewStdWriter(&text, stdcopy.Stdout)
			}
			for _, line := range t.container.does.Prints {
				_, _ = io.WriteString(out, line+"\n")
			}
		}
		return io.NopCloser(&text), nil
	})
}

// labelled reports whether labels are what a filter's labels ask for.
func labelled(asked []string, labels map[string]string) bool {
	for _, wanted := range asked {
		key, value, given := strings.Cut(wanted, "=")
		if is, there := labels[key]; !there || given && value != "" && is != value {
			return false
		}
	}
	return true
}

// named reports whether an ID and a name begin as a filter asks for.
func named(filter filters.Args, id, name string) bool {
	begins := func(key, text string) bool {
		wanted := filter.Get(key)
		return len(wanted) == 0 || slices.ContainsFunc(wanted, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
	}
	return begins("id", id) && begins("name", name)
}

// silent is a connection that has nothing more to say.
type silent struct{ net.Conn }

// Close does nothing.
func (silent) Close() error { return nil }
