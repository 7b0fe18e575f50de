package enginetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/deploy/enginetest"
)

// service gives a small spec.
func service(name, image string) swarm.ServiceSpec {
	return swarm.ServiceSpec{
		Annotations:  swarm.Annotations{Name: name, Labels: map[string]string{"owner": name}},
		TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: image}},
	}
}

func create(t *testing.T, engine *enginetest.Engine, spec swarm.ServiceSpec) {
	t.Helper()
	if _, err := engine.Client(enginetest.Hooks{}).ServiceCreate(t.Context(), spec, swarm.ServiceCreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// states lists what the tasks of a service are.
func states(engine *enginetest.Engine, name string) []string {
	var all []string
	for _, one := range engine.State().Tasks[name] {
		all = append(all, fmt.Sprintf("%s %s", one.Status.State, one.Status.Err))
	}
	return all
}

func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, _ := simulated()
		var calls []enginetest.Call
		var before, after error
		hooked := engine.Client(enginetest.Hooks{
			Before: func(_ context.Context, call enginetest.Call) error { calls = append(calls, call); return before },
			After:  func(context.Context, enginetest.Call) error { return after },
		})
		add := func(name string) error {
			_, err := hooked.ServiceCreate(t.Context(), service(name, image1), swarm.ServiceCreateOptions{})
			return err
		}
		before = errors.New("refused on the way")
		if err := add("a"); !errors.Is(err, before) || len(engine.State().Services) > 0 {
			t.Errorf("before: %v, services %v", err, engine.State().Services)
		}
		before, after = nil, enginetest.ErrLost
		if err := add("a"); !errors.Is(err, enginetest.ErrLost) || len(engine.State().Services) != 1 {
			t.Errorf("after: %v, services %v", err, engine.State().Services)
		}
		after = nil
		id := engine.State().Services["a"].ID
		if err := hooked.ServiceRemove(t.Context(), id); err != nil {
			t.Error(err)
		}
		want := []enginetest.Call{
			{Method: "ServiceCreate", Kind: "service", Name: "a", Write: true},
			{Method: "ServiceCreate", Kind: "service", Name: "a", Write: true},
			{Method: "ServiceRemove", Kind: "service", Name: "a", Write: true},
		}
		if diff := cmp.Diff(want, calls); diff != "" {
			t.Error(diff)
		}
	})
}

// TestAHookMayBlock blocks a call until its context ends: the engine never sees it.
func TestAHookMayBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, _ := simulated()
		blocked := engine.Client(enginetest.Hooks{Before: func(ctx context.Context, _ enginetest.Call) error {
			<-ctx.Done()
			return nil
		}})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		began := time.Now()
		_, err := blocked.ServiceCreate(ctx, service("a", image1), swarm.ServiceCreateOptions{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute || len(engine.State().Services) > 0 {
			t.Errorf("%v after %s, services %v", err, time.Since(began), engine.State().Services)
		}
	})
}

func TestAnEngineThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, world := simulated()
		create(t, engine, service("a", image1))
		time.Sleep(time.Second)
		_, errs := world.Swarm.Events(t.Context(), events.ListOptions{})
		engine.Stop()
		if err := <-errs; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the stream ends with %v", err)
		}
		_, err := world.Swarm.Info(t.Context())
		if !client.IsErrConnectionFailed(err) || !strings.Contains(err.Error(), "Cannot connect to the Docker daemon at") {
			t.Errorf("a call: %v", err)
		}
		time.Sleep(time.Hour)
		engine.Start()
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"failed task: non-zero exit (143)", "running "}, states(engine, "a")); diff != "" {
			t.Error(diff)
		}
		_, errs = world.Swarm.Events(t.Context(), events.ListOptions{})
		engine.BreakStreams()
		if err := <-errs; !errors.Is(err, io.EOF) {
			t.Errorf("a broken stream ends with %v", err)
		}
	})
}

// TestImagesOfEngine29 compares what engines say of images that they cannot get.
func TestImagesOfEngine29(t *testing.T) {
	for version, want := range map[string]map[string]string{
		"20.10.24": {"missing": "rejected No such image: coin/missing:1", "unreachable": "rejected No such image: coin/unreachable:1"},
		"29.7.0": {
			"missing":     `rejected failed to resolve reference "coin/missing:1": coin/missing:1: not found`,
			"unreachable": `preparing failed to resolve reference "coin/unreachable:1": failed to do request: dial tcp: lookup registry: network is unreachable`,
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			engine := enginetest.New(enginetest.Options{EngineVersion: version})
			engine.Image("coin/unreachable:1", enginetest.Unreachable())
			for name := range want {
				create(t, engine, service(name, "coin/"+name+":1"))
			}
			time.Sleep(4 * time.Second)
			for name, state := range want {
				if got := states(engine, name); len(got) == 0 || got[0] != state && got[len(got)-1] != state {
					t.Errorf("%s: %s is %q, want %q", version, name, got, state)
				}
			}
			tasks := len(engine.State().Tasks["unreachable"])
			engine.Image("coin/missing:1")
			engine.Alter("coin/unreachable:1")
			time.Sleep(7 * time.Second)
			for name := range want {
				if got := strings.Join(states(engine, name), ","); !strings.Contains(got, "running") {
					t.Errorf("%s: then %s is %q", version, name, got)
				}
			}
			if now := len(engine.State().Tasks["unreachable"]); version > "29" && now != tasks {
				t.Errorf("%s: %d tasks, then %d", version, tasks, now)
			}
		})
	}
}

// TestRejectedTasksFollowEachOther counts the tasks that a missing image leads to.
func TestRejectedTasksFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, _ := simulated()
		create(t, engine, service("a", "coin/none:1"))
		time.Sleep(12 * time.Second)
		if got := states(engine, "a"); len(got) != 4 { // at 0, 0 (waiting), 5 and 10
			t.Errorf("tasks %q", got)
		}
	})
}

func TestATagThatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, world := simulated()
		found, err := world.Swarm.DistributionInspect(t.Context(), image1, "")
		if err != nil || string(found.Descriptor.Digest) != engine.Digest(image1) || len(found.Platforms) != 1 {
			t.Fatalf("%+v, %v", found, err)
		}
		pinned := image1 + "@" + engine.Digest(image1)
		engine.Image(image1, enginetest.Crashes(1, time.Second))
		create(t, engine, service("pinned", pinned))
		create(t, engine, service("moved", image1))
		time.Sleep(4 * time.Second)
		if got := states(engine, "pinned"); len(got) != 1 || got[0] != "running " {
			t.Errorf("pinned: %q", got)
		}
		if got := strings.Join(states(engine, "moved"), ","); !strings.Contains(got, "non-zero exit (1)") {
			t.Errorf("moved: %q", got)
		}
		if _, err := world.Swarm.ImageInspect(t.Context(), "coin/none:1"); !errdefs.IsNotFound(err) {
			t.Errorf("an image that is nowhere: %v", err)
		}
	})
}

// TestChangesByHand changes and removes services as a user does.
func TestChangesByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, world := simulated()
		create(t, engine, service("a", image1))
		create(t, engine, service("b", image1))
		ours := func(labels map[string]string) bool { return labels["owner"] == "b" }
		before := engine.State().Only(ours)
		err := engine.UpdateService(t.Context(), "a", func(spec *swarm.ServiceSpec) { spec.TaskTemplate.ContainerSpec.Image = image2 })
		if err != nil || engine.State().Services["a"].Spec.TaskTemplate.ContainerSpec.Image != image2 {
			t.Errorf("update: %v", err)
		}
		if err := engine.RollBackService(t.Context(), "a"); err != nil || engine.State().Services["a"].Spec.TaskTemplate.ContainerSpec.Image != image1 {
			t.Errorf("roll back: %v", err)
		}
		if err := engine.RemoveService(t.Context(), "a"); err != nil || len(engine.State().Services) != 1 {
			t.Errorf("remove: %v", err)
		}
		if diff := cmp.Diff(before, engine.State().Only(ours)); diff != "" {
			t.Error(diff)
		}
		if _, err := world.Swarm.SecretCreate(t.Context(), swarm.SecretSpec{Annotations: swarm.Annotations{Name: "s"}, Data: []byte("canary")}); err != nil {
			t.Fatal(err)
		}
		if content := engine.State().Secrets["s"].Spec.Data; string(content) != "canary" {
			t.Errorf("secret %q", content)
		}
	})
}

// TestAnswersAreCopies changes what a caller gave and what it got.
func TestAnswersAreCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, world := simulated()
		given := service("a", image1)
		create(t, engine, given)
		given.TaskTemplate.ContainerSpec.Image = "changed"
		given.Labels["owner"] = "changed"
		list, err := world.Swarm.ServiceList(t.Context(), swarm.ServiceListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		list[0].Spec.TaskTemplate.ContainerSpec.Image = "changed"
		list[0].Spec.Labels["owner"] = "changed"
		if now := engine.State().Services["a"].Spec; now.TaskTemplate.ContainerSpec.Image != image1 || now.Labels["owner"] != "a" {
			t.Errorf("spec %+v", now)
		}
	})
}

// TestTheSameAgain compares engines with equal and with different seeds.
func TestTheSameAgain(t *testing.T) {
	run := func(seed uint64) (state enginetest.State) {
		synctest.Test(t, func(t *testing.T) {
			engine := enginetest.New(enginetest.Options{Seed: seed, Nodes: []string{"a", "b", "c"}})
			engine.Image(image1, enginetest.Crashes(1, 3*time.Second))
			spec := service("a", image1)
			count := uint64(5)
			spec.Mode.Replicated = &swarm.ReplicatedService{Replicas: &count}
			create(t, engine, spec)
			time.Sleep(time.Minute)
			state = engine.State()
		})
		return state
	}
	first := run(1)
	if diff := cmp.Diff(first, run(1)); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(first, run(2)) {
		t.Error("the seed changes nothing")
	}
	nodes := map[string]int{}
	for _, one := range first.Tasks["a"] {
		nodes[one.NodeID]++
	}
	if len(nodes) != 3 {
		t.Errorf("tasks are on the nodes %v", nodes)
	}
}
