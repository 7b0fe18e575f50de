package deploy

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/pkg/stdcopy"
)

const (
	logLines = 10
	// lineBytes is how many bytes of one line are kept.
	lineBytes = 1 << 10
	// detailedServices is the number of services whose logs are read.
	detailedServices = 10
	// healthCode is the first line of Health; healthOK is that of a check that passed.
	healthCode = "exit code %d"
	healthOK   = "exit code 0"
	killed     = 128 + 9 // SIGKILL
	logBytes   = 64 << 10
	logTime    = 2 * time.Second
	// shortestMasked is the shortest length of a secret that is masked in logs: masking
	// a shorter one would change many words that are not secret.
	shortestMasked = 6
)

// details reads why services of a stack have not converged.
type details struct {
	host  HostAPI
	masks *Masks // of the wanted stack
}

// add adds the details of services that have not converged, in parallel: the node's name,
// the last output of the health check, and the last log lines. An error here is not
// reported. If there are too many such services, failed ones come first.
func (d details) add(ctx context.Context, result Result) Result {
	ctx, cancel := context.WithTimeout(ctx, 2*logTime)
	defer cancel()
	var asked []*ServiceResult
	for i := range result.Services {
		if service := &result.Services[i]; service.State != Converged && service.task != "" {
			asked = append(asked, service)
		}
	}
	slices.SortStableFunc(asked, func(a, b *ServiceResult) int { return cmp.Compare(a.rank(), b.rank()) })
	var all sync.WaitGroup
	for _, service := range asked[:min(len(asked), detailedServices)] {
		all.Go(func() { d.addTo(ctx, service) })
	}
	all.Wait()
	return result
}

// rank orders services: failed ones first, then those with an error.
func (s *ServiceResult) rank() int {
	switch {
	case s.State == Failed:
		return 0
	case s.Error != "":
		return 1
	}
	return 2
}

func (d details) addTo(ctx context.Context, service *ServiceResult) {
	if service.node != "" {
		if node, _, err := d.host.NodeInspectWithRaw(ctx, service.node); err == nil {
			service.Node = node.Description.Hostname
		}
	}
	if secret := d.masks.unknown(service.spec); secret != "" { // also one that only an older spec has
		service.Logs = []string{fmt.Sprintf("not shown, because the value of secret %s is unknown and cannot be masked: docker service logs %s", secret, service.Name)}
		return
	}
	if service.container != "" { // the image may declare a check as well
		service.Health = d.lastHealth(ctx, service.container)
	}
	service.Logs = d.taskLogs(ctx, service.task, containerOf(swarm.ServiceSpec{TaskTemplate: service.spec}).TTY)
}

// lastHealth gives the output of a container's last health check that ended by itself: one
// that came when the container had stopped already (exit code -1), or that the stop killed
// (137), says nothing. Only the engine that runs the container has it, so there is none for
// tasks on other nodes.
func (d details) lastHealth(ctx context.Context, id string) []string {
	container, err := d.host.ContainerInspect(ctx, id)
	if err != nil || container.State == nil || container.State.Health == nil || len(container.State.Health.Log) == 0 {
		return nil
	}
	log := container.State.Health.Log
	last := log[len(log)-1]
	for _, check := range slices.Backward(log) {
		if check.ExitCode >= 0 && check.ExitCode != killed {
			last = check
			break
		}
	}
	return append([]string{fmt.Sprintf(healthCode, last.ExitCode)}, lastLines(last.Output, d.masks)...)
}

// taskLogs gives the last log lines of a task. The engine may wait for a node that does
// not answer, so the call has a short time limit; lines received until then are kept.
func (d details) taskLogs(ctx context.Context, task string, terminal bool) []string {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	stream, err := d.host.TaskLogs(ctx, task, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "10"})
	if err != nil {
		return nil
	}
	defer func() { _ = stream.Close() }()
	var text bytes.Buffer
	limited := io.LimitReader(stream, logBytes)
	if terminal {
		_, _ = io.Copy(&text, limited)
	} else {
		_, _ = stdcopy.StdCopy(&text, &text, limited)
	}
	return lastLines(text.String(), d.masks)
}

// lastLines gives the last lines of a text. The stack's secrets and what looks like a
// secret are masked, because a container may print any of its settings.
func lastLines(text string, masks *Masks) []string {
	whole := strings.TrimSpace(masks.Part(strings.ToValidUTF8(text, "?"), true, true))
	if whole == "" {
		return nil
	}
	lines := strings.Split(whole, "\n")
	lines = lines[max(0, len(lines)-logLines):]
	for i, line := range lines {
		if len(line) > lineBytes {
			lines[i] = strings.ToValidUTF8(line[:lineBytes], "") + "…"
		}
	}
	return lines
}
