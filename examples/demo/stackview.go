package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"golang.org/x/sys/unix"

	"coin.internal/coin-agent/internal/demoimage"
)

// images imports the images of the stack in the repository's work tree. It returns
// the numbers of services and images.
func (w *world) images(ctx context.Context) (services, images int, err error) {
	command := w.agentCommand(ctx, "render", "--repo", ".", "-o", "specs")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("render the stack: %w\n%s", err, stderr.Bytes())
	}
	var rendered struct {
		Services map[string]swarm.ServiceSpec `json:"services"`
	}
	if err := json.Unmarshal(output, &rendered); err != nil {
		return 0, 0, fmt.Errorf("read the rendered stack: %w", err)
	}
	names := map[string]bool{}
	for _, service := range rendered.Services {
		names[service.TaskTemplate.ContainerSpec.Image] = true
	}
	return len(rendered.Services), len(names), demoimage.Import(ctx, w.api, slices.Sorted(maps.Keys(names)))
}

// containers maps the stack's services to their running containers.
func (w *world) containers(ctx context.Context) (map[string]string, error) {
	list, err := w.api.ContainerList(ctx, container.ListOptions{
		Filters: filters.NewArgs(filters.Arg("label", "com.docker.stack.namespace="+stack)),
	})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	found := map[string]string{}
	for _, one := range list {
		found[strings.TrimPrefix(one.Labels["com.docker.swarm.service.name"], stack+"_")] = one.ID
	}
	return found, nil
}

// answer is the response of the demo program (examples/app).
type answer struct {
	Environment, Node, Release string
	Secrets                    []struct{ Name, Version string }
}

// ask prints the response of a service's container.
func (w *world) ask(ctx context.Context, service string) error {
	containers, err := w.containers(ctx)
	if err != nil {
		return err
	}
	info, err := w.api.ContainerInspect(ctx, containers[service])
	if err != nil {
		return fmt.Errorf("ask %s: %w", service, err)
	}
	port := "8080"
	for _, variable := range info.Config.Env {
		if ports, ok := strings.CutPrefix(variable, "LISTEN_PORTS="); ok {
			port, _, _ = strings.Cut(ports, ",")
		}
	}
	seen, err := inside(ctx, info.State.Pid, "http://127.0.0.1:"+port+"/")
	if err != nil {
		return fmt.Errorf("ask %s: %w", service, err)
	}
	secrets := make([]string, 0, len(seen.Secrets))
	for _, secret := range seen.Secrets {
		secrets = append(secrets, secret.Name+"="+secret.Version)
	}
	w.say.line("\nThe container of %s runs in %s/%s, release %s.\n  Versions of its secrets: %s",
		service, seen.Environment, seen.Node, seen.Release, strings.Join(secrets, " "))
	return nil
}

// inside sends a request from the network namespace of a process, so that no port
// has to be published.
func inside(ctx context.Context, pid int, url string) (answer, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		var conn net.Conn
		done := make(chan error, 1)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread stays in that network
			namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
			if err == nil {
				err = unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET)
				_ = namespace.Close()
			}
			if err == nil {
				conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
			}
			done <- err
		}()
		err := <-done
		return conn, err
	}}
	var seen answer
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return seen, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return seen, err
	}
	defer func() { _ = response.Body.Close() }()
	return seen, json.NewDecoder(response.Body).Decode(&seen)
}
