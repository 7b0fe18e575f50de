package enginetest

import (
	"context"
	"io"
	"maps"
	"strconv"
	"sync"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// stream is one reader of the engine's events.
type stream struct {
	filter filters.Args
	wake   chan struct{} // something is waiting

	mu      sync.Mutex
	waiting []events.Message
	ended   error
}

// push hands an event to the reader.
func (s *stream) push(message events.Message) {
	s.mu.Lock()
	s.waiting = append(s.waiting, message)
	s.mu.Unlock()
	s.signal()
}

// end ends the stream with an error, once the reader has what is waiting.
func (s *stream) end(err error) {
	s.mu.Lock()
	s.ended = err
	s.mu.Unlock()
	s.signal()
}

func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take gives what is waiting.
func (s *stream) take() ([]events.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.waiting
	s.waiting = nil
	return waiting, s.ended
}

// serve passes events on until the context or the stream ends.
func (s *stream) serve(ctx context.Context, messages chan<- events.Message) error {
	for {
		waiting, ended := s.take()
		for _, message := range waiting {
			select {
			case messages <- message:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if ended != nil {
			return ended
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Events gives the engine's events from now on. The stream ends with ctx, or when the
// engine goes away.
func (c *Client) Events(ctx context.Context, options events.ListOptions) (<-chan events.Message, <-chan error) {
	messages, errs := make(chan events.Message), make(chan error, 1)
	opened := &stream{filter: options.Filters.Clone(), wake: make(chan struct{}, 1)}
	err := c.call(ctx, Call{Method: "Events", Kind: "engine"}, func() error {
		c.engine.streams[opened] = true
		return nil
	})
	if err != nil {
		errs <- err
		close(errs)
		return messages, errs
	}
	go func() {
		defer close(errs)
		errs <- opened.serve(ctx, messages)
		c.engine.do(func() { delete(c.engine.streams, opened) })
	}()
	return messages, errs
}

// BreakStreams ends all streams of events, as when a connection is lost.
func (e *Engine) BreakStreams() {
	e.do(func() {
		for one := range e.streams {
			one.end(io.EOF)
		}
		clear(e.streams)
	})
}

// tell publishes an event to the streams whose filter includes it.
func (e *Engine) tell(scope string, message events.Message) {
	message.Scope = scope
	message.Time, message.TimeNano = e.clock.Unix(), e.clock.UnixNano()
	for one := range e.streams {
		if includes(one.filter, message) {
			copied := message
			copied.Actor.Attributes = maps.Clone(message.Actor.Attributes)
			one.push(copied)
		}
	}
}

// includes reports whether a filter lets an event through.
func includes(filter filters.Args, message events.Message) bool {
	fuzzy := filter.ExactMatch("event", "health_status") && filter.Contains("event")
	action := filter.ExactMatch("event", string(message.Action)) || fuzzy && filter.FuzzyMatch("event", string(message.Action))
	return action && filter.ExactMatch("type", string(message.Type)) &&
		(!filter.Contains("scope") || filter.ExactMatch("scope", message.Scope)) &&
		(!filter.Contains("label") || filter.MatchKVList("label", message.Actor.Attributes))
}

// tellObject publishes an event of a network, secret, config or service.
func (e *Engine) tellObject(kind events.Type, action events.Action, id, name string) {
	if len(e.streams) > 0 {
		e.tell("swarm", events.Message{Type: kind, Action: action, Actor: events.Actor{ID: id, Attributes: map[string]string{"name": name}}})
	}
}

func (e *Engine) tellService(action events.Action, s *service) {
	e.tellObject(events.ServiceEventType, action, s.id, s.spec.Name)
}

// tellUpdate publishes a change of a service, with the attributes that Swarm gives it.
func (e *Engine) tellUpdate(before, s *service) {
	if len(e.streams) == 0 {
		return
	}
	attributes := map[string]string{"name": s.spec.Name}
	if was, is := before.spec.TaskTemplate.ContainerSpec.Image, s.spec.TaskTemplate.ContainerSpec.Image; was != is {
		attributes["image.old"], attributes["image.new"] = was, is
	}
	if was, is := before.spec.Mode.Replicated, s.spec.Mode.Replicated; was != nil && is != nil && *was.Replicas != *is.Replicas {
		attributes["replicas.old"], attributes["replicas.new"] = strconv.FormatUint(*was.Replicas, 10), strconv.FormatUint(*is.Replicas, 10)
	}
	switch {
	case s.status == nil:
	case before.status == nil:
		attributes["updatestate.new"] = string(s.status.State)
	case before.status.State != s.status.State:
		attributes["updatestate.old"], attributes["updatestate.new"] = string(before.status.State), string(s.status.State)
	}
	e.tell("swarm", events.Message{
		Type: events.ServiceEventType, Action: events.ActionUpdate, Actor: events.Actor{ID: s.id, Attributes: attributes},
	})
}

// tellContainer publishes an event of a task's container, with further attributes in
// pairs. An engine publishes the events of its own node's containers only.
func (e *Engine) tellContainer(action events.Action, t *task, further ...string) {
	if len(e.streams) == 0 || t.node != e.nodes[0] {
		return
	}
	attributes := maps.Clone(t.spec.ContainerSpec.Labels)
	if attributes == nil {
		attributes = map[string]string{}
	}
	maps.Copy(attributes, t.swarmLabels())
	attributes["image"], attributes["name"] = t.spec.ContainerSpec.Image, t.name()
	for i := 0; i+1 < len(further); i += 2 {
		attributes[further[i]] = further[i+1]
	}
	e.tell("local", events.Message{
		Type: events.ContainerEventType, Action: action, Actor: events.Actor{ID: t.container.id, Attributes: attributes},
	})
}

// swarmLabels are those that Swarm gives the container of a task.
func (t *task) swarmLabels() map[string]string {
	return map[string]string{
		"com.docker.swarm.node.id": t.node.id, "com.docker.swarm.service.id": t.service.id,
		"com.docker.swarm.service.name": t.serviceName, "com.docker.swarm.task": "",
		"com.docker.swarm.task.id": t.id, "com.docker.swarm.task.name": t.name(),
	}
}

// name is that of a task's container.
func (t *task) name() string {
	instance := strconv.Itoa(t.number)
	if t.fixed != nil {
		instance = t.fixed.id
	}
	return t.serviceName + "." + instance + "." + t.id
}
