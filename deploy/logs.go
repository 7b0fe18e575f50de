package deploy

import (
	"bytes"
	"context"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"coin.internal/coin-agent/compose"
)

const (
	logLines = 10
	logBytes = 64 << 10
	logTime  = 2 * time.Second
	// shortestMasked is the least length of a secret that is masked in logs:
	// shorter ones would garble every line and tell nothing.
	shortestMasked = 6
)

// detailed adds to failed services what only they are asked for: the node's name
// and the last log lines. Neither is worth an error of its own.
func (e *Engine) detailed(ctx context.Context, want *compose.Stack, result Result) Result {
	ctx, cancel := context.WithTimeout(ctx, 2*logTime)
	defer cancel()
	for i := range result.Services {
		service := &result.Services[i]
		if service.State != Failed || service.task == "" {
			continue
		}
		if service.node != "" {
			if node, _, err := e.api.NodeInspectWithRaw(ctx, service.node); err == nil {
				service.Node = node.Description.Hostname
			}
		}
		spec := want.Services[service.Name]
		terminal := spec.TaskTemplate.ContainerSpec != nil && spec.TaskTemplate.ContainerSpec.TTY
		service.Logs = e.taskLogs(ctx, service.task, terminal, want)
		service.Error = maskSecrets(service.Error, want)
	}
	return result
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
	whole := strings.TrimSpace(maskSecrets(strings.ToValidUTF8(text.String(), "?"), want))
	if whole == "" {
		return nil
	}
	lines := strings.Split(whole, "\n")
	return lines[max(0, len(lines)-logLines):]
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
