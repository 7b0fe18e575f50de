package deploy

import (
	"context"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"coin.internal/coin-agent/compose"
)

// follow gives a channel that receives when something in the stack changes. A lost event
// only costs time, because each reading of the engine is complete.
func follow(ctx context.Context, host HostAPI, stack string) <-chan struct{} {
	changed := make(chan struct{}, 1)
	go func() {
		for ctx.Err() == nil {
			followOnce(ctx, host, stack, changed)
			pause(ctx, slowLook) // the engine restarts, or closed the stream
		}
	}()
	return changed
}

func followOnce(ctx context.Context, host HostAPI, stack string, changed chan<- struct{}) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	messages, errs := host.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
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
			if !concerns(message, stack) {
				continue
			}
			// After a short pause, so that one reading covers events at the same time.
			if !pause(ctx, together) {
				return
			}
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}
}

// concerns tells whether an event is about a service or a container of the stack.
func concerns(message events.Message, stack string) bool {
	attributes := message.Actor.Attributes
	service := attributes["name"]
	if message.Type == events.ContainerEventType {
		service = attributes["com.docker.swarm.service.name"]
	}
	return attributes[compose.LabelStack] == stack || strings.HasPrefix(service, stack+"_")
}

// pause waits for d and tells whether ctx has not ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
