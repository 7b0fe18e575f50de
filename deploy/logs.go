package deploy

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/pkg/stdcopy"

	"coin.internal/coin-agent/compose"
)

const (
	logLines = 10
	// lineBytes is how much of one line is kept.
	lineBytes = 1 << 10
	// detailedServices is of how many services logs are fetched.
	detailedServices = 10
	// healthCode begins what a health check said, healthOK that of a good one.
	healthCode = "exit code %d"
	healthOK   = "exit code 0"
	logBytes   = 64 << 10
	logTime    = 2 * time.Second
	// shortestMasked is the least length of a secret that is masked in logs:
	// shorter ones would garble every line and tell nothing.
	shortestMasked = 6
)

// detailed adds to services that are not converged what only they are asked for,
// side by side: the node's name, what the health check said last, and the last log
// lines. None of it is worth an error of its own. With many such services those
// in trouble come first.
func (e *Engine) detailed(ctx context.Context, want *compose.Stack, result Result) Result {
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
		all.Go(func() { e.detail(ctx, want, service) })
	}
	all.Wait()
	return result
}

// rank orders services by how much is to be told of them.
func (s *ServiceResult) rank() int {
	switch {
	case s.State == Failed:
		return 0
	case s.Error != "":
		return 1
	}
	return 2
}

func (e *Engine) detail(ctx context.Context, want *compose.Stack, service *ServiceResult) {
	if service.node != "" {
		if node, _, err := e.api.NodeInspectWithRaw(ctx, service.node); err == nil {
			service.Node = node.Description.Hostname
		}
	}
	spec := want.Services[service.Name]
	if secret := unmaskable(want, spec); secret != "" {
		service.Logs = []string{fmt.Sprintf("not shown, since the value of secret %s is not at hand to be hidden in it: docker service logs %s", secret, service.Name)}
		return
	}
	if service.container != "" { // the image may have a check, too
		service.Health = e.lastHealth(ctx, service.container, want)
	}
	terminal := spec.TaskTemplate.ContainerSpec != nil && spec.TaskTemplate.ContainerSpec.TTY
	service.Logs = e.taskLogs(ctx, service.task, terminal, want)
}

// unmaskable is a secret of the stack's own that a service has and whose value is not
// known: what the service prints may hold it. "" where there is none.
func unmaskable(want *compose.Stack, spec swarm.ServiceSpec) string {
	if spec.TaskTemplate.ContainerSpec == nil {
		return ""
	}
	for _, reference := range spec.TaskTemplate.ContainerSpec.Secrets {
		for _, secret := range want.Secrets {
			if secret.Spec.Name == reference.SecretName && !secret.Value.Known() {
				return reference.SecretName
			}
		}
	}
	return ""
}

// lastHealth gives what a container's last health check printed. Only the engine
// that has the container knows it, so of tasks on other nodes there is none.
func (e *Engine) lastHealth(ctx context.Context, id string, want *compose.Stack) []string {
	container, err := e.api.ContainerInspect(ctx, id)
	if err != nil || container.State == nil || container.State.Health == nil || len(container.State.Health.Log) == 0 {
		return nil
	}
	log := container.State.Health.Log
	last := log[len(log)-1]
	return append([]string{fmt.Sprintf(healthCode, last.ExitCode)}, lastLines(last.Output, want)...)
}

// lastLines gives the end of a text, with the stack's secrets masked and what looks
// like one: what a container prints may be any of its settings.
func lastLines(text string, want *compose.Stack) []string {
	whole := strings.TrimSpace(MaskText(strings.ToValidUTF8(text, "?"), want))
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

// taskLogs gives a task's last lines. The engine may wait for a node that does
// not answer, so it gets little time; what came until then is kept.
func (e *Engine) taskLogs(ctx context.Context, task string, terminal bool, want *compose.Stack) []string {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	stream, err := e.api.TaskLogs(ctx, task, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "10"})
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
	return lastLines(text.String(), want)
}

// maskSecrets hides the stack's secret values in text. The longest go first, so
// that a value within another leaves no rest; of values with several lines each
// line is hidden, since logs break there.
func maskSecrets(text string, want *compose.Stack) string {
	var values []string
	for _, secret := range want.Secrets {
		whole := strings.TrimSpace(string(secret.Value.Reveal()))
		values = append(values, whole)
		for line := range strings.Lines(whole) {
			values = append(values, strings.TrimSpace(line))
		}
	}
	sort.Slice(values, func(i, j int) bool { return len(values[i]) > len(values[j]) })
	for _, value := range values {
		if len(value) >= shortestMasked {
			text = strings.ReplaceAll(text, value, hidden)
		}
	}
	return text
}
