package deploy

import (
	"context"
	"io"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
)

// Client is what an Engine calls: the sum of the small interfaces below. Docker's
// own client is one, and so is that of deploy/enginetest.
type Client interface {
	connection
	versionReader
	engineReader
	nodeReader
	serviceReader
	serviceWriter
	taskReader
	networkReader
	networkWriter
	secretReader
	secretWriter
	configStore
	eventStream
	containerReader
	commandRunner
	imageReader
	distribution
}

// connection is the way to the engine.
type connection interface {
	DaemonHost() string
	Close() error
}

// versionReader knows the API version that client and engine speak.
type versionReader interface {
	ClientVersion() string
	NegotiateAPIVersion(ctx context.Context)
}

// engineReader asks the engine for its own state.
type engineReader interface {
	Info(ctx context.Context) (system.Info, error)
}

type nodeReader interface {
	NodeInspectWithRaw(ctx context.Context, node string) (swarm.Node, []byte, error)
}

type serviceReader interface {
	ServiceList(ctx context.Context, options swarm.ServiceListOptions) ([]swarm.Service, error)
}

type serviceWriter interface {
	ServiceCreate(ctx context.Context, spec swarm.ServiceSpec, options swarm.ServiceCreateOptions) (swarm.ServiceCreateResponse, error)
	ServiceUpdate(ctx context.Context, service string, version swarm.Version, spec swarm.ServiceSpec, options swarm.ServiceUpdateOptions) (swarm.ServiceUpdateResponse, error)
	ServiceRemove(ctx context.Context, service string) error
}

type taskReader interface {
	TaskList(ctx context.Context, options swarm.TaskListOptions) ([]swarm.Task, error)
	TaskLogs(ctx context.Context, task string, options container.LogsOptions) (io.ReadCloser, error)
}

type networkReader interface {
	NetworkList(ctx context.Context, options network.ListOptions) ([]network.Summary, error)
	NetworkInspect(ctx context.Context, network string, options network.InspectOptions) (network.Inspect, error)
}

type networkWriter interface {
	NetworkCreate(ctx context.Context, name string, options network.CreateOptions) (network.CreateResponse, error)
}

type secretReader interface {
	SecretList(ctx context.Context, options swarm.SecretListOptions) ([]swarm.Secret, error)
	SecretInspectWithRaw(ctx context.Context, secret string) (swarm.Secret, []byte, error)
}

type secretWriter interface {
	SecretCreate(ctx context.Context, secret swarm.SecretSpec) (swarm.SecretCreateResponse, error)
	SecretUpdate(ctx context.Context, secret string, version swarm.Version, spec swarm.SecretSpec) error
	SecretRemove(ctx context.Context, secret string) error
}

type configStore interface {
	ConfigList(ctx context.Context, options swarm.ConfigListOptions) ([]swarm.Config, error)
	ConfigCreate(ctx context.Context, config swarm.ConfigSpec) (swarm.ConfigCreateResponse, error)
	ConfigRemove(ctx context.Context, config string) error
}

type eventStream interface {
	Events(ctx context.Context, options events.ListOptions) (<-chan events.Message, <-chan error)
}

type containerReader interface {
	ContainerInspect(ctx context.Context, container string) (container.InspectResponse, error)
}

// commandRunner runs commands in containers.
type commandRunner interface {
	ContainerExecCreate(ctx context.Context, container string, options container.ExecOptions) (container.ExecCreateResponse, error)
	ContainerExecAttach(ctx context.Context, execID string, options container.ExecAttachOptions) (types.HijackedResponse, error)
	ContainerExecInspect(ctx context.Context, execID string) (container.ExecInspect, error)
}

// imageReader looks at the images that this node has.
type imageReader interface {
	ImageInspect(ctx context.Context, image string, options ...client.ImageInspectOption) (image.InspectResponse, error)
}

// distribution asks the registries.
type distribution interface {
	DistributionInspect(ctx context.Context, image, encodedAuth string) (registry.DistributionInspect, error)
}

// New gives an Engine that calls through client, which it closes at its end.
func New(client Client) *Engine {
	return &Engine{api: client, host: client.DaemonHost(), networks: map[string]string{}}
}
