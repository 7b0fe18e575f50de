package swarmtest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/pkg/stdcopy"

	"coin.internal/coin-agent/internal/waitfor"
)

func byStack(name string) filters.Args {
	return filters.NewArgs(filters.Arg("label", "com.docker.stack.namespace="+name))
}

// remove removes a stack: services, and when their containers have ended, networks, secrets
// and configs. A network that is removed too early stays in an unusable state.
func (s *Swarm) remove(ctx context.Context, tb testing.TB, name string) {
	tb.Helper()
	services, err := s.API.ServiceList(ctx, swarm.ServiceListOptions{Filters: byStack(name)})
	if err != nil {
		tb.Errorf("clean up: list services: %v", err)
		return
	}
	for _, service := range services {
		if err := s.API.ServiceRemove(ctx, service.ID); err != nil && !errdefs.IsNotFound(err) {
			tb.Errorf("clean up: remove service %s: %v", service.Spec.Name, err)
		}
	}
	waitfor.NoError(tb, 5*time.Minute, func() error { return s.noContainers(ctx, name) })
	waitfor.NoError(tb, 5*time.Minute, func() error { return s.noNetworks(ctx, name) })
	s.removeObjects(ctx, tb, name)
}

// noContainers waits until the containers are removed that a stack has, and fails if there were any: others
// may have come. To list them again and again costs the engine a tenth of its time.
func (s *Swarm) noContainers(ctx context.Context, stack string) error {
	list, err := s.API.ContainerList(ctx, container.ListOptions{
		All:     true,
		Filters: filters.NewArgs(filters.Arg("label", "com.docker.swarm.service.name")),
	})
	if err != nil {
		return err
	}
	for _, one := range list {
		if !strings.HasPrefix(one.Labels["com.docker.swarm.service.name"], stack+"_") {
			continue
		}
		if one.State != container.StateRunning {
			// On 20.10 the containers of jobs outlive their service.
			_ = s.API.ContainerRemove(ctx, one.ID, container.RemoveOptions{Force: true})
		}
		ended, failed := s.API.ContainerWait(ctx, one.ID, container.WaitConditionRemoved)
		select {
		case <-ended:
		case failure := <-failed:
			if !errdefs.IsNotFound(failure) {
				return failure
			}
		}
		err = fmt.Errorf("container %s of %s was still there", one.ID, stack)
	}
	return err
}

func (s *Swarm) noNetworks(ctx context.Context, stack string) error {
	list, err := s.API.NetworkList(ctx, network.ListOptions{Filters: byStack(stack)})
	if err != nil {
		return err
	}
	for _, one := range list {
		if removeErr := s.API.NetworkRemove(ctx, one.ID); removeErr != nil && !errdefs.IsNotFound(removeErr) {
			err = removeErr
			continue
		}
		err = fmt.Errorf("network %s is still there", one.Name)
	}
	return err
}

func (s *Swarm) removeObjects(ctx context.Context, tb testing.TB, name string) {
	tb.Helper()
	secrets, err := s.API.SecretList(ctx, swarm.SecretListOptions{Filters: byStack(name)})
	if err != nil {
		tb.Errorf("clean up: list secrets: %v", err)
	}
	for _, secret := range secrets {
		if err := s.API.SecretRemove(ctx, secret.ID); err != nil {
			tb.Errorf("clean up: remove secret %s: %v", secret.Spec.Name, err)
		}
	}
	configs, err := s.API.ConfigList(ctx, swarm.ConfigListOptions{Filters: byStack(name)})
	if err != nil {
		tb.Errorf("clean up: list configs: %v", err)
	}
	for _, config := range configs {
		if err := s.API.ConfigRemove(ctx, config.ID); err != nil {
			tb.Errorf("clean up: remove config %s: %v", config.Spec.Name, err)
		}
	}
}

// Tasks lists the tasks of a service by its full name.
func (s *Swarm) Tasks(tb testing.TB, service string) []swarm.Task {
	tb.Helper()
	tasks, err := s.API.TaskList(tb.Context(), swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("service", service))})
	if err != nil {
		tb.Fatal(err)
	}
	return tasks
}

// dump shows the tasks of a stack and their last lines.
func (s *Swarm) dump(ctx context.Context, tb testing.TB, name string) {
	tb.Helper()
	tasks, err := s.API.TaskList(ctx, swarm.TaskListOptions{Filters: byStack(name)})
	if err != nil {
		tb.Logf("list tasks of %s: %v", name, err)
		return
	}
	for _, task := range tasks {
		image := ""
		if task.Spec.ContainerSpec != nil {
			image = task.Spec.ContainerSpec.Image
		}
		tb.Logf("task %s service %s slot %d %s: wanted %s, is %s %s %s", task.ID, task.ServiceID, task.Slot,
			image, task.DesiredState, task.Status.State, task.Status.Message, task.Status.Err)
		stream, err := s.API.TaskLogs(ctx, task.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "5"})
		if err != nil {
			continue
		}
		var text bytes.Buffer
		_, _ = stdcopy.StdCopy(&text, &text, stream)
		_ = stream.Close()
		if text.Len() > 0 {
			tb.Logf("its log:\n%s", text.String())
		}
	}
}
