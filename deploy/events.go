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

// follow wakes its reader when something happens to the stack. It only wakes: a
// lost event costs a little time, never the truth, since each look reads anew.
func (e *Engine) follow(ctx context.Context, want *compose.Stack) <-chan struct{} {
	wake := make(chan struct{}, 1)
	// It ends a little after ctx, when the stack may be the caller's again.
	watched := &compose.Stack{Name: want.Name, Services: maps.Clone(want.Services)}
	go func() {
		for ctx.Err() == nil {
			e.followOnce(ctx, watched, wake)
			pause(ctx, slowLook) // the engine restarts, or has hung up
		}
	}()
	return wake
}

func (e *Engine) followOnce(ctx context.Context, want *compose.Stack, wake chan<- struct{}) {
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
		case <-errs: //nolint:errcheck // whatever ended the stream, follow opens the next
			return
		case message := <-messages:
			if !concerns(message, want) {
				continue
			}
			// A little later, so that one look serves what comes at once.
			if !pause(ctx, quickLook) {
				return
			}
			select {
			case wake <- struct{}{}:
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

// pause waits for d and tells whether ctx is still going.
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
