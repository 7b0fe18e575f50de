package enginetest

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// Command is what a command in a container does: it prints Output and ends with Exit.
type Command struct {
	Exit   int
	Output string
}

// commands holds what commands do, and those that were begun.
type commands struct {
	run   func(service string, command []string) Command
	begun map[string]begunCommand // by the ID of the exec
}

type begunCommand struct {
	service string
	command []string
	runs    func(command []string) Command // as the image says
	result  Command
}

// Commands says what commands in containers do, by the full name of the service,
// instead of what their images say.
func (e *Engine) Commands(run func(service string, command []string) Command) {
	e.do(func() { e.commands.run = run })
}

// ContainerExecCreate prepares a command in a running container.
func (c *Client) ContainerExecCreate(ctx context.Context, id string, options container.ExecOptions) (container.ExecCreateResponse, error) {
	e := c.engine
	return ask(ctx, c, Call{Method: "ContainerExecCreate", Kind: "container", Name: id}, func() (container.ExecCreateResponse, error) {
		t, err := e.findContainer(id)
		if err == nil && t.container.exited {
			err = &answer{text: "Container " + id + " is not running", kind: errConflict}
		}
		if err != nil {
			return container.ExecCreateResponse{}, err
		}
		if e.commands.begun == nil {
			e.commands.begun = map[string]begunCommand{}
		}
		exec := e.newContainerID("exec", id)
		e.commands.begun[exec] = begunCommand{service: t.serviceName, command: slices.Clone(options.Cmd), runs: t.container.does.Runs}
		return container.ExecCreateResponse{ID: exec}, nil
	})
}

// ContainerExecAttach runs a prepared command and gives what it prints.
func (c *Client) ContainerExecAttach(ctx context.Context, exec string, _ container.ExecAttachOptions) (types.HijackedResponse, error) {
	e := c.engine
	return ask(ctx, c, Call{Method: "ContainerExecAttach", Kind: "container", Name: exec}, func() (types.HijackedResponse, error) {
		one, known := e.commands.begun[exec]
		if !known {
			return types.HijackedResponse{}, &answer{text: "No such exec instance: " + exec, kind: errNotFound}
		}
		switch {
		case e.commands.run != nil:
			one.result = e.commands.run(one.service, one.command)
		case one.runs != nil:
			one.result = one.runs(one.command)
		}
		e.commands.begun[exec] = one
		var text bytes.Buffer
		_, _ = io.Copy(stdcopy.NewStdWriter(&text, stdcopy.Stdout), strings.NewReader(one.result.Output))
		return types.HijackedResponse{Conn: silent{}, Reader: bufio.NewReader(&text)}, nil
	})
}

// ContainerExecInspect tells how a command has ended.
func (c *Client) ContainerExecInspect(ctx context.Context, exec string) (container.ExecInspect, error) {
	return ask(ctx, c, Call{Method: "ContainerExecInspect", Kind: "container", Name: exec}, func() (container.ExecInspect, error) {
		one, known := c.engine.commands.begun[exec]
		if !known {
			return container.ExecInspect{}, &answer{text: "No such exec instance: " + exec, kind: errNotFound}
		}
		delete(c.engine.commands.begun, exec)
		return container.ExecInspect{ExecID: exec, ExitCode: one.result.Exit}, nil
	})
}
