package deploy

import (
	"bytes"
	"context"
	"fmt"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/pkg/stdcopy"

	"coin.internal/coin-agent/internal/fault"
)

// execBytes is how many bytes of a command's output are kept.
const execBytes = 64 << 10

// Containers are the containers of services on the engine's node. They may be used
// concurrently.
type Containers struct {
	swarm   SwarmAPI
	host    HostAPI
	address address
}

// ContainersOf gives the containers on an engine's node.
func ContainersOf(engine *Engine) *Containers {
	return &Containers{swarm: engine.swarm, host: engine.host, address: engine.address}
}

// Exec runs a command in a running container of a service on this node, and gives its
// exit code and its output of both streams. If ctx ends before the command, the command
// continues in the container: the engine cannot stop it.
func (c *Containers) Exec(ctx context.Context, service string, command []string) (code int, output string, err error) {
	running, err := c.runningHere(ctx, service)
	if err != nil {
		return 0, "", err
	}
	created, err := c.host.ContainerExecCreate(ctx, running, container.ExecOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return 0, "", c.address.explain("run a command in service "+service, err)
	}
	stream, err := c.host.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	if err != nil {
		return 0, "", c.address.explain("run a command in service "+service, err)
	}
	defer stream.Close()
	stop := context.AfterFunc(ctx, stream.Close) // reading does not observe the context
	defer stop()
	kept := &head{limit: execBytes}
	if _, err := stdcopy.StdCopy(kept, kept, stream.Reader); err != nil && ctx.Err() == nil {
		return 0, "", fmt.Errorf("read the output of a command in service %s: %w", service, err)
	}
	if ctx.Err() != nil {
		return 0, "", fmt.Errorf("run a command in service %s: %w", service, ctx.Err())
	}
	ended, err := c.host.ContainerExecInspect(ctx, created.ID)
	if err != nil {
		return 0, "", c.address.explain("read the exit code of a command in service "+service, err)
	}
	return ended.ExitCode, kept.String(), nil
}

// runningHere finds the container of a service's newest running task on this node.
func (c *Containers) runningHere(ctx context.Context, service string) (string, error) {
	info, err := c.host.Info(ctx)
	if err != nil {
		return "", c.address.explain("read the ID of this node", err)
	}
	tasks, err := c.swarm.TaskList(ctx, swarm.TaskListOptions{Filters: filters.NewArgs(
		filters.Arg("service", service), filters.Arg("node", info.Swarm.NodeID), filters.Arg("desired-state", "running"),
	)})
	if err != nil {
		return "", c.address.explain("list the tasks of service "+service, err)
	}
	var newest swarm.Task
	for _, task := range tasks {
		if task.Status.State == swarm.TaskStateRunning && task.Status.ContainerStatus != nil && task.CreatedAt.After(newest.CreatedAt) {
			newest = task
		}
	}
	if newest.ID == "" {
		return "", fault.New(fault.Place{}, "docker service ps "+service, "service %s has no running task on this node", service)
	}
	return newest.Status.ContainerStatus.ContainerID, nil
}

// head keeps the first bytes that are written to it, up to limit.
type head struct {
	bytes.Buffer
	limit int
}

func (h *head) Write(p []byte) (int, error) {
	if room := h.limit - h.Len(); room > 0 {
		h.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
