// Package drift takes the live services of one stack and its deployed good state, and
// gives the services that differ. It changes nothing.
package drift

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// movedEvery is how often an agent that has nothing to do asks the registries whether a
// tag moved, where config.yml says images.resolve: always.
const movedEvery = 10 * time.Minute

// reader reads the services of a stack, unless the engine's answer is the last one.
type reader interface {
	ObserveChanged(ctx context.Context, stackName string, last deploy.Answer) (deploy.LiveServices, deploy.Answer, error)
}

// registries give the digests of images.
type registries interface {
	Resolve(ctx context.Context, live deploy.LiveServices, want *compose.Stack) (deploy.Resolution, error)
}

// Watch compares the services of one stack. Only one goroutine may use it.
type Watch struct {
	reader     reader
	registries registries
	log        *slog.Logger

	asked time.Time      // when the registries were asked last
	moved *compose.Stack // what was applied, with the digests at that time; nil before

	good  *record.GoodState // that was looked at last
	stack *compose.Stack    // what it says was applied; read only; nil while equal says enough
	equal *equal            // what the last comparison found equal; nil for a difference
	last  *last             // the last look; nil if it failed
}

// New makes a Watch.
func New(reader reader, registries registries, log *slog.Logger) *Watch {
	return &Watch{reader: reader, registries: registries, log: log, asked: time.Now()}
}

// Deployed notes that another good state is deployed since a time.
func (w *Watch) Deployed(at time.Time) { w.asked, w.moved = at, nil }

// Seen is what a look sees.
type Seen struct {
	Services []deploy.ServiceStatus // the live ones, and those that another process has removed
	Drift    []deploy.Step          // the services that differ from the good state
	Ignored  []deploy.Ignored       // the fields that another process may change
	Unowned  int                    // of Drift: services that no agent made, and the good state does not have
}

// Changed lists the services that another process has changed: they drifted, or an ignored
// field has another value than declared. The number of tasks, and the labels of a service,
// change no task.
func (s Seen) Changed() (names []string) {
	for _, step := range s.Drift {
		names = append(names, step.Name)
	}
	for _, one := range s.Ignored {
		if one.Field != "replicas" && one.Field != "labels" && len(one.Changes) > 0 {
			names = append(names, one.Service)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Look reads the services of a stack and gives those that differ from a good state; no
// difference is looked for if the good state is nil. If the engine's answer is that of the last
// look, and all else is as it was, the look sees what that one saw.
func (w *Watch) Look(ctx context.Context, stack string, good *record.GoodState) (Seen, error) {
	before := w.last.answerTo(w.asking(stack, good))
	live, answer, err := w.reader.ObserveChanged(ctx, stack, before)
	if err != nil {
		return Seen{}, fmt.Errorf("look at the services: %w", err)
	}
	if live == nil && before != (deploy.Answer{}) {
		return w.last.seen, nil
	}
	w.last = nil
	seen, err := w.compare(ctx, stack, live, good)
	if err == nil {
		w.last = &last{asking: w.asking(stack, good), answer: answer, seen: seen}
	}
	return seen, err
}

// compare gives what a look sees in the live services.
func (w *Watch) compare(ctx context.Context, stack string, live deploy.LiveServices, good *record.GoodState) (seen Seen, err error) {
	seen.Services = deploy.Summarise(stack, live)
	if good == nil {
		return seen, nil
	}
	if !w.asks(good) && w.equal.still(live, good, w.moved) {
		return seen, nil
	}
	want, err := w.expected(ctx, live, good)
	if err != nil {
		return seen, err
	}
	if w.equal.still(live, good, w.moved) {
		return seen, nil
	}
	seen.Drift, seen.Ignored = deploy.Drift(live, want), deploy.IgnoredIn(live, want)
	seen.Services = deploy.Declare(stack, seen.Services, seen.Drift, want)
	seen.Unowned = len(deploy.UnownedServices(live, want))
	if w.equal = found(seen, live, w); w.equal != nil {
		w.stack = nil // 5 kB a service that the next looks need not
	}
	return seen, nil
}

// expected gives the stack that the live services are compared with: what was applied,
// with the digests that its tags had when the registries were last asked.
func (w *Watch) expected(ctx context.Context, live deploy.LiveServices, good *record.GoodState) (*compose.Stack, error) {
	if good != w.good || w.stack == nil {
		recalled, err := recall(good)
		if err != nil {
			return nil, err
		}
		w.good, w.stack = good, recalled
	}
	stack := deploy.IgnoreAt(w.stack, time.Now())
	if stack.Resolve != compose.ResolveAlways {
		return stack, nil
	}
	if w.asks(good) {
		moved, err := w.registries.Resolve(ctx, live, deploy.Unresolved(stack))
		if err != nil {
			w.log.Warn("cannot ask whether tags moved", "stack", stack.Name, "error", err)
			moved.Stack = w.moved
		}
		for _, warning := range moved.Warnings {
			w.log.Warn("cannot ask whether a tag moved", "stack", stack.Name, "reason", warning)
		}
		w.moved, w.asked = moved.Stack, time.Now()
	}
	if w.moved != nil {
		return w.moved, nil
	}
	return stack, nil
}

// asks reports whether it is time to ask the registries about the tags of a good state.
func (w *Watch) asks(good *record.GoodState) bool {
	return compose.Resolve(good.Resolve) == compose.ResolveAlways && time.Since(w.asked) >= movedEvery
}

// Applied gives the part of an applied stack that drift is compared with.
func Applied(good *record.GoodState) (*compose.Stack, error) {
	stack, err := recall(good)
	if err != nil {
		return nil, err
	}
	return deploy.IgnoreAt(stack, time.Now()), nil
}

// recall gives the same with the fields that were ignored when it was applied.
func recall(good *record.GoodState) (*compose.Stack, error) {
	stack := &compose.Stack{Name: good.StackName, Owner: good.Owner, Resolve: compose.Resolve(good.Resolve)}
	if err := json.Unmarshal(good.Services, &stack.Services); err != nil {
		return nil, fmt.Errorf("recall the applied services: %w", err)
	}
	if len(good.Ignored) > 0 {
		if err := json.Unmarshal(good.Ignored, &stack.Ignored); err != nil {
			return nil, fmt.Errorf("recall the ignored fields: %w", err)
		}
	}
	return stack, nil
}
