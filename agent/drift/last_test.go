package drift_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// answering gives one service, unless its answer is the last one. It counts how often it was
// asked for services, and how often the registries were.
type answering struct {
	answer          deploy.Answer
	image           string
	given, resolved int
}

func (a *answering) ObserveChanged(_ context.Context, _ string, last deploy.Answer) (deploy.LiveServices, deploy.Answer, error) {
	if last == a.answer && last != (deploy.Answer{}) {
		return nil, last, nil
	}
	a.given++
	return deploy.LiveServices{"s_web": {Spec: webOf(a.image)}}, a.answer, nil
}

func (a *answering) Resolve(_ context.Context, live deploy.LiveServices, want *compose.Stack) (deploy.Resolution, error) {
	a.resolved++
	if len(live) != 1 {
		panic("resolved without services")
	}
	return deploy.Resolution{Stack: want}, nil
}

func webOf(image string) swarm.ServiceSpec {
	return swarm.ServiceSpec{
		Annotations:  swarm.Annotations{Name: "s_web", Labels: map[string]string{compose.LabelStack: "s"}},
		TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: image}},
	}
}

func goodState(t *testing.T, image, until string) *record.GoodState {
	t.Helper()
	services, err := json.Marshal(map[string]swarm.ServiceSpec{"s_web": webOf(image)})
	if err != nil {
		t.Fatal(err)
	}
	good := &record.GoodState{StackName: "s", Services: services}
	if until != "" {
		good.Ignored, err = json.Marshal(map[string][]compose.Ignored{"s_web": {{Field: "image", Until: until, Reason: "an experiment"}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return good
}

// TestSameAnswer says when a look takes what the last one saw, and when it needs the services.
func TestSameAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		until  string // the image is ignored
		change func(t *testing.T, engine *answering, watch *drift.Watch, good *record.GoodState) *record.GoodState
		given  int // how often the services are needed then
		drift  int
	}{
		"nothing": {"", nil, 0, 1},
		"another answer": {"", func(_ *testing.T, engine *answering, _ *drift.Watch, good *record.GoodState) *record.GoodState {
			engine.answer, engine.image = deploy.Answer{2}, "app:1"
			return good
		}, 1, 0},
		"another good state": {"", func(t *testing.T, _ *answering, _ *drift.Watch, _ *record.GoodState) *record.GoodState {
			t.Helper()
			return goodState(t, "app:2", "")
		}, 1, 0},
		"no good state": {"", func(*testing.T, *answering, *drift.Watch, *record.GoodState) *record.GoodState { return nil }, 1, 0},
		"a good state is deployed": {"", func(_ *testing.T, _ *answering, watch *drift.Watch, good *record.GoodState) *record.GoodState {
			watch.Deployed(time.Now())
			return good
		}, 0, 1},
		"bytes that are not known": {"", func(_ *testing.T, engine *answering, _ *drift.Watch, good *record.GoodState) *record.GoodState {
			engine.answer = deploy.Answer{}
			return good
		}, 2, 1},
		"an ignored field": {"2000-01-03", nil, 0, 0},
		"a field that counts again since then": {"2000-01-03", func(_ *testing.T, _ *answering, _ *drift.Watch, good *record.GoodState) *record.GoodState {
			time.Sleep(72 * time.Hour)
			return good
		}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := &answering{answer: deploy.Answer{1}, image: "app:2"}
				watch := drift.New(engine, engine, slog.New(slog.DiscardHandler))
				good := goodState(t, "app:1", test.until)
				look := func() drift.Seen {
					t.Helper()
					seen, err := watch.Look(t.Context(), "s", good)
					if err != nil || len(seen.Services) != 1 || seen.Services[0].Image != engine.image {
						t.Fatalf("seen %+v, %v", seen, err)
					}
					return seen
				}
				look()
				engine.given = 0
				if test.change != nil {
					good = test.change(t, engine, watch, good)
				}
				first := look()
				second := look()
				if engine.given != test.given || len(first.Drift) != test.drift || len(second.Drift) != test.drift {
					t.Errorf("the services were given %d times; drift %v, %v", engine.given, first.Drift, second.Drift)
				}
			})
		})
	}
}

// TestSameAnswerAsksRegistries has the registries asked when it is time, whatever the engine answers.
func TestSameAnswerAsksRegistries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &answering{answer: deploy.Answer{1}, image: "app:1"}
		watch := drift.New(engine, engine, slog.New(slog.DiscardHandler))
		good := goodState(t, "app:1", "")
		good.Resolve = string(compose.ResolveAlways)
		for range 25 {
			if _, err := watch.Look(t.Context(), "s", good); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if engine.resolved != 2 || engine.given != 3 {
			t.Errorf("asked the registries %d times, and for the services %d times", engine.resolved, engine.given)
		}
	})
}
