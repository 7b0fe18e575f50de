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
	each := func(message events.Message) {
		// After a short pause, so that one reading covers events at the same time.
		if !concerns(message, stack) || !pause(ctx, together) {
			return
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	kinds := filters.NewArgs(
		filters.Arg("type", string(events.ServiceEventType)),
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("event", "create"), filters.Arg("event", "update"), filters.Arg("event", "remove"),
		filters.Arg("event", "start"), filters.Arg("event", "die"), filters.Arg("event", "health_status"),
	)
	go anew(ctx, func() { followOnce(ctx, host, each, kinds) })
	return changed
}

// FollowDeaths calls died with the name of the stack whenever a container of a stack has
// ended on this node. It reads the stream of events, and ends with ctx.
func (t Tasks) FollowDeaths(ctx context.Context, died func(stack string)) {
	e := t.engine
	e.negotiated.Do(func() { e.host.NegotiateAPIVersion(ctx) })
	each := func(message events.Message) {
		if stack := message.Actor.Attributes[compose.LabelStack]; stack != "" {
			died(stack)
		}
	}
	kinds := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)), filters.Arg("event", "die"))
	anew(ctx, func() {
		defer e.told.follows()()
		followOnce(ctx, e.host, each, kinds)
	})
}

// anew follows a stream again and again until ctx ends: the engine restarts, or closes it.
func anew(ctx context.Context, follow func()) {
	for ctx.Err() == nil {
		follow()
		pause(ctx, slowLook)
	}
}

// followOnce passes events on until their stream ends.
func followOnce(ctx context.Context, host HostAPI, each func(events.Message), kinds filters.Args) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	messages, errs := host.Events(ctx, events.ListOptions{Filters: kinds})
	for {
		select {
		case <-errs: //nolint:errcheck // the next stream begins after any error
			return
		case message := <-messages:
			each(message)
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
