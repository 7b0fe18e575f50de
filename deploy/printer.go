package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/oneline"
)

const (
	// printTime is how long an image may take to print.
	printTime = 10 * time.Minute
	// printLabel marks the containers that print, so that a later run removes those that a
	// killed one has left.
	printLabel = "coin-agent.prints"

	printMemory    = 512 << 20
	printProcesses = 256
	printCPUs      = 1e9 // one, in nanoseconds
	printErrors    = 4 << 10
)

// imageAPI is what Prints calls. Docker's own client has these methods.
type imageAPI interface {
	pullAPI
	ContainerCreate(ctx context.Context, config *container.Config, host *container.HostConfig, networks *network.NetworkingConfig, platform *ocispec.Platform, name string) (container.CreateResponse, error)
	ContainerAttach(ctx context.Context, container string, options container.AttachOptions) (types.HijackedResponse, error)
	ContainerStart(ctx context.Context, container string, options container.StartOptions) error
	ContainerWait(ctx context.Context, container string, condition container.WaitCondition) (<-chan container.WaitResponse, <-chan error)
	ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error)
	ContainerRemove(ctx context.Context, container string, options container.RemoveOptions) error
	Close() error
}

// Printer has images print something in a container without a network and with few resources,
// which is removed afterwards.
type Printer struct {
	api     imageAPI
	puller  *Puller
	address address
}

// ConnectPrinter prepares a connection as Connect does. Logins is the file with the registry
// credentials, or "".
func ConnectPrinter(host, logins string) (*Printer, error) {
	engine, err := Connect(host)
	if err != nil {
		return nil, err
	}
	api, ok := engine.host.(imageAPI)
	if !ok {
		return nil, errors.New("connect to the engine: it cannot run images")
	}
	engine.UseLogins(logins)
	return &Printer{api: api, puller: &Puller{api: api, logins: engine.registries, address: engine.address}, address: engine.address}, nil
}

// Close ends the connection.
func (p *Printer) Close() error { return p.api.Close() }

// Print pulls an image, runs it with one argument, and copies what it prints. An error of into
// ends the container.
func (p *Printer) Print(ctx context.Context, name, argument string, into io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, printTime)
	defer cancel()
	if err := p.puller.Pull(ctx, name); err != nil {
		return err
	}
	p.sweep(ctx)
	pids := int64(printProcesses)
	created, err := p.api.ContainerCreate(ctx, &container.Config{
		Image: name, Cmd: []string{argument}, Labels: map[string]string{printLabel: argument},
		AttachStdout: true, AttachStderr: true, Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}, &container.HostConfig{
		NetworkMode: network.NetworkNone, LogConfig: container.LogConfig{Type: "none"},
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"},
		Resources: container.Resources{Memory: printMemory, MemorySwap: printMemory, PidsLimit: &pids, NanoCPUs: printCPUs},
	}, nil, nil, "")
	if err != nil {
		return p.address.explain("run image "+name, err)
	}
	defer p.remove(context.WithoutCancel(ctx), created.ID)
	return p.run(ctx, created.ID, name, into)
}

// run starts a container and reads it to its end.
func (p *Printer) run(ctx context.Context, id, name string, into io.Writer) error {
	stream, err := p.api.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return p.address.explain("run image "+name, err)
	}
	defer stream.Close()
	stop := context.AfterFunc(ctx, stream.Close) // reading does not observe the context
	defer stop()
	ended, failed := p.api.ContainerWait(ctx, id, container.WaitConditionNextExit)
	if err := p.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return p.address.explain("run image "+name, err)
	}
	said := &head{limit: printErrors}
	if _, err := stdcopy.StdCopy(into, said, stream.Reader); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read what image %s prints: %w", name, err)
	}
	select {
	case err := <-failed:
		if ctx.Err() != nil {
			return fault.New(fault.Place{}, "run it by hand to see why", "image %s did not end within %s", name, printTime)
		}
		return p.address.explain("wait for image "+name, err)
	case end := <-ended:
		if end.StatusCode != 0 {
			return fault.New(fault.Place{}, "check that it is the release's image", "image %s ended with exit code %d: %s",
				name, end.StatusCode, oneline.Cut(said.String(), 300))
		}
	}
	return nil
}

// sweep removes containers that a killed run has left. Its errors do no harm.
func (p *Printer) sweep(ctx context.Context) {
	left, err := p.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", printLabel))})
	if err != nil {
		return
	}
	for _, one := range left {
		if time.Since(time.Unix(one.Created, 0)) > 2*printTime {
			p.remove(ctx, one.ID)
		}
	}
}

// remove removes a container with its volumes.
func (p *Printer) remove(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_ = p.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
}

var _ imageAPI = (*client.Client)(nil)
