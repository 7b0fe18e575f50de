package deploy

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"coin.internal/coin-agent/compose"
)

// follow gives a channel that receives when something in the stack changes. A lost event
// only costs time, because each reading of the engine is complete.
func (e *Engine) follow(ctx context.Context, want *compose.Stack) <-chan struct{} {
	changed := make(chan struct{}, 1)
	// A copy, because the goroutine ends after ctx and the caller may change the stack.
	watched := &compose.Stack{Name: want.Name, Services: maps.Clone(want.Services)}
	go func() {
		for ctx.Err() == nil {
			e.followOnce(ctx, watched, changed)
			pause(ctx, slowLook) // the engine restarts, or closed the stream
		}
	}()
	return changed
}

func (e *Engine) followOnce(ctx context.Context, want *compose.Stack, changed chan<- struct{}) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	messages, errs := e.api.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", string(events.ServiceEventType)),
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("event", "create"), filters.Arg("event", "update"), filters.Arg("event", "remove"),
		filters.Arg("event", "start"), filters.Arg("event", "die"), filters.Arg("event", "health_status"),
	)})
	for {
		select {
		case <-errs: //nolint:errcheck // follow opens the next stream after any error
			return
		case message := <-messages:
			if !concerns(message, want) {
				continue
			}
			// After a short pause, so that one reading covers events at the same time.
			if !pause(ctx, quickLook) {
				return
			}
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}
}

func concerns(message events.Message, want *compose.Stack) bool {
	attributes := message.Actor.Attributes
	if message.Type == events.ContainerEventType {
		return attributes[compose.LabelStack] == want.Name ||
			strings.HasPrefix(attributes["com.docker.swarm.service.name"], want.Name+"_")
	}
	_, ok := want.Services[attributes["name"]]
	return ok
}

// pause waits for d and tells whether ctx has not ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
