package deploy_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
	"coin.internal/coin-agent/internal/fault"
)

// simulated gives a simulated engine that has the demo images, within a bubble.
func simulated() *enginetest.Engine {
	engine := enginetest.New(enginetest.Options{})
	engine.Image(image1, enginetest.DemoApp())
	engine.Image(image2, enginetest.DemoApp())
	return engine
}

// smallStack has a migration, a service with secret and health check, and a cron service.
func smallStack(name string) *compose.Stack {
	stack := newStack(name)
	reference := addSecret(stack, "db_access", "1", "canary-content")
	add(stack, "api", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{reference}
		s.TaskTemplate.ContainerSpec.Healthcheck = healthcheck()
	})
	add(stack, "migrate", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "migrate"}
		s.TaskTemplate.RestartPolicy = soon("none")
	})
	add(stack, "cron_service", nil)
	return stack
}

// setImage changes the image of a service.
func setImage(stack *compose.Stack, short, image string) {
	spec := stack.Services[stack.Name+"_"+short]
	container := *spec.TaskTemplate.ContainerSpec
	container.Image = image
	spec.TaskTemplate.ContainerSpec = &container
	stack.Services[stack.Name+"_"+short] = spec
}

// TestCheckThatTheStopKilled wants the health check that failed, not the one that the engine
// killed when it stopped the container.
func TestCheckThatTheStopKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulated()
		sim.Image(image1, func(b *enginetest.Behaviour, _ *swarm.ContainerSpec) { b.Unhealthy = true })
		engine := deploy.New(sim.Client(enginetest.Hooks{}))
		stack := newStack("t")
		add(stack, "web", func(s *swarm.ServiceSpec) {
			s.TaskTemplate.ContainerSpec.Healthcheck = healthcheck()
			s.TaskTemplate.RestartPolicy = soon("none")
		})
		one := verify(t, engine, stack, apply(t, engine, stack)).Services[0]
		if diff := cmp.Diff([]string{"exit code 1", "ask for health: 503"}, one.Health); diff != "" {
			t.Errorf("health (-want +got):\n%s", diff)
		}
	})
}

// TestEngineHangs demands that a read of an engine that hangs ends after ten seconds, and a
// write after a minute.
func TestEngineHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := false
		engine := deploy.New(simulated().Client(enginetest.Hooks{Before: func(ctx context.Context, _ enginetest.Call) error {
			if hangs {
				<-ctx.Done()
			}
			return ctx.Err()
		}}))
		stack := smallStack("t")
		plan := planFor(t, engine, stack)
		hangs = true
		for what, call := range map[string]struct {
			limit time.Duration
			do    func() error
		}{
			"look":  {10 * time.Second, func() error { _, err := engine.ObserveServices(t.Context(), "t"); return err }},
			"plan":  {10 * time.Second, func() error { _, err := engine.Observe(t.Context(), stack); return err }},
			"tasks": {10 * time.Second, func() error { _, err := deploy.TasksOf(engine).Ended(t.Context(), "t", nil); return err }},
			"ready": {12 * time.Second, func() error { _, err := engine.Ready(t.Context()); return err }},
			"apply": {time.Minute, func() error { return engine.Apply(t.Context(), plan, stack, deploy.ApplyOptions{}) }},
		} {
			began := time.Now()
			if err := call.do(); deploy.WhyUnusable(err) != deploy.Hangs || time.Since(began) != call.limit {
				t.Errorf("%s: %v after %s, want %s", what, err, time.Since(began), call.limit)
			}
		}
	})
}

// TestNoLeader has an engine answer as 20.10.24 does when its Swarm has lost its quorum: it waits
// when it is asked for its state, and says why when it is asked for services.
func TestNoLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := deploy.New(simulated().Client(enginetest.Hooks{Before: func(ctx context.Context, call enginetest.Call) error {
			if call.Method == "Info" {
				<-ctx.Done()
				return ctx.Err()
			}
			return errors.New("rpc error: code = Unknown desc = The swarm does not have a leader")
		}}))
		if _, err := engine.Ready(t.Context()); deploy.WhyUnusable(err) != deploy.NoQuorum {
			t.Error(err)
		}
	})
}

// TestFlowOnTheSimulatedEngine takes a stack from nothing through an update.
func TestFlowOnTheSimulatedEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulated()
		engine := deploy.New(sim.Client(enginetest.Hooks{}))
		if _, err := engine.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		stack := smallStack("t")
		want := []string{
			"create network default", "create secret db_access.1", "create service migrate", "create service api", "create service cron_service",
		}
		if diff := cmp.Diff(want, lines(rollout(t, engine, stack))); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		if again := rollout(t, engine, stack); !again.Empty() {
			t.Errorf("then: %v", lines(again))
		}
		setImage(stack, "api", image2)
		want = []string{"scale-down service cron_service", "update service api", "update service cron_service"}
		if diff := cmp.Diff(want, lines(rollout(t, engine, stack))); diff != "" {
			t.Errorf("steps of the update (-want +got):\n%s", diff)
		}
		for _, one := range sim.State().Tasks["t_api"] {
			if one.DesiredState == swarm.TaskStateRunning && one.Spec.ContainerSpec.Image != image2 {
				t.Errorf("task %+v", one)
			}
		}
	})
}

// TestClusterVolumeOnTheSimulatedEngine rolls out a mount of type cluster on an engine that
// knows it: the second plan has nothing to write.
func TestClusterVolumeOnTheSimulatedEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := enginetest.New(enginetest.Options{EngineVersion: "29.7.0", APIVersion: "1.51"})
		sim.Image(image1, enginetest.DemoApp())
		engine, stack := deploy.New(sim.Client(enginetest.Hooks{})), newStack("t")
		add(stack, "web", func(s *swarm.ServiceSpec) {
			s.TaskTemplate.ContainerSpec.Mounts = []mount.Mount{{Type: mount.TypeCluster, Source: "v", Target: "/v", ClusterOptions: &mount.ClusterOptions{}}}
		})
		rollout(t, engine, stack)
		if again := planFor(t, engine, stack); !again.Empty() {
			t.Errorf("then: %+v", again.Steps)
		}
	})
}

// TestFailuresOnTheSimulatedEngine updates to bad images, and then goes back.
func TestFailuresOnTheSimulatedEngine(t *testing.T) {
	for name, test := range map[string]struct {
		engine string
		traits []enginetest.Trait
		action string
		says   string
	}{
		"crash loop":  {"", []enginetest.Trait{enginetest.Crashes(3, time.Second)}, "continue", "task: non-zero exit (3); its tasks keep failing"},
		"paused":      {"", []enginetest.Trait{enginetest.Crashes(3, 100*time.Millisecond)}, "pause", "task: non-zero exit (3); Swarm paused the update"},
		"rolled back": {"", []enginetest.Trait{enginetest.Crashes(3, 100*time.Millisecond)}, "rollback", "task: non-zero exit (3); Swarm rolled the update back"},
		"missing":     {"", []enginetest.Trait{enginetest.Missing()}, "continue", "No such image: coin/bad:1; its image was not found"},
		"unhealthy":   {"", []enginetest.Trait{enginetest.Unhealthy()}, "continue", "unhealthy container"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := enginetest.New(enginetest.Options{EngineVersion: test.engine})
				sim.Image(image1, enginetest.DemoApp())
				sim.Image("coin/bad:1", test.traits...)
				engine := deploy.New(sim.Client(enginetest.Hooks{}))
				stack := smallStack("t")
				spec := stack.Services["t_api"]
				spec.UpdateConfig = &swarm.UpdateConfig{Parallelism: 1, Monitor: 5 * time.Second, FailureAction: test.action}
				stack.Services["t_api"] = spec
				rollout(t, engine, stack)
				setImage(stack, "api", "coin/bad:1")
				if err := verify(t, engine, stack, apply(t, engine, stack)).Err(); err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("got %v, want %q", err, test.says)
				}
				setImage(stack, "api", image1)
				rollout(t, engine, stack)
				if again := rollout(t, engine, stack); !again.Empty() {
					t.Errorf("then: %v", lines(again))
				}
			})
		})
	}
}

// TestImagesThatCannotBePulled rolls out images that nodes cannot get, on each kind of
// engine: within seconds the cause and the hint are the same.
func TestImagesThatCannotBePulled(t *testing.T) {
	for _, version := range []string{"20.10.24", "28.5.2", "29.7.0"} {
		for _, action := range []string{"continue", "pause"} {
			for name, trait := range map[string]enginetest.Trait{
				"no such tag": enginetest.Missing(), "name does not resolve": enginetest.Unreachable(),
				"connection refused": enginetest.Unpulled(`failed to do request: Head "https://r/v2/": dial tcp 10.0.0.1:443: connect: connection refused`),
				"login required":     enginetest.Unpulled("pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"),
			} {
				t.Run(version+" "+action+" "+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						sim := enginetest.New(enginetest.Options{EngineVersion: version})
						sim.Image(image1, enginetest.DemoApp())
						sim.Image("coin/bad:1", trait)
						engine := deploy.New(sim.Client(enginetest.Hooks{}))
						stack := smallStack("t")
						spec := stack.Services["t_api"]
						spec.UpdateConfig = &swarm.UpdateConfig{Parallelism: 1, Monitor: 5 * time.Second, FailureAction: action}
						stack.Services["t_api"] = spec
						rollout(t, engine, stack)
						setImage(stack, "api", "coin/bad:1")
						plan, began := apply(t, engine, stack), time.Now()
						err := verify(t, engine, stack, plan).Err()
						if took := time.Since(began); took > 20*time.Second {
							t.Errorf("it took %s", took)
						}
						if err == nil || !strings.Contains(err.Error(), "coin/bad:1") || !strings.Contains(err.Error(), "; its image was not found") {
							t.Fatalf("got %v", err)
						}
						if hint := fault.Hint(err); !strings.HasPrefix(hint, "check the tag, or push the image to its registry") {
							t.Errorf("hint %q", hint)
						}
					})
				})
			}
		}
	}
}

// TestMendedCauseOnTheSimulatedEngine returns to a spec that had crashed, after its cause
// was mended: the crashes of before do not fail it.
func TestMendedCauseOnTheSimulatedEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulated()
		sim.Image("coin/moving:1", enginetest.Crashes(3, time.Millisecond))
		engine := deploy.New(sim.Client(enginetest.Hooks{}))
		mendedCause(t, engine, newStack("t"), "coin/moving:1", func() { sim.Alter("coin/moving:1", enginetest.DemoApp()) })
	})
}

// mendedCause rolls out an image that crashes, another one, and the first one again after
// mend.
func mendedCause(t *testing.T, engine *deploy.Engine, stack *compose.Stack, image string, mend func()) {
	t.Helper()
	add(stack, "web", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.RestartPolicy, s.UpdateConfig.FailureAction, s.UpdateConfig.Monitor = soon("any"), "continue", 5*time.Second
	})
	rollout(t, engine, stack)
	setImage(stack, "web", image)
	if err := verify(t, engine, stack, apply(t, engine, stack)).Err(); err == nil || !strings.Contains(err.Error(), "its tasks keep failing") {
		t.Fatalf("the crashing image: %v", err)
	}
	setImage(stack, "web", image2)
	rollout(t, engine, stack)
	mend()
	setImage(stack, "web", image)
	rollout(t, engine, stack)
}

// TestKilledAnywhereOnTheSimulatedEngine ends an application at each of its calls,
// before the call or after it, and comes to the same end.
func TestKilledAnywhereOnTheSimulatedEngine(t *testing.T) {
	for n := 1; ; n++ {
		calls := 0
		for _, lost := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				sim := simulated()
				foreign := deploy.New(sim.Client(enginetest.Hooks{}))
				rollout(t, foreign, smallStack("other"))
				other := func(labels map[string]string) bool { return labels[compose.LabelStack] == "other" }
				before := sim.State().Only(other)

				ctx, kill := context.WithCancel(t.Context())
				defer kill()
				var writes atomic.Int64
				hook := func(here bool) func(context.Context, enginetest.Call) error {
					return func(_ context.Context, call enginetest.Call) error {
						if call.Write && here && writes.Add(1) == int64(n) {
							kill()
							return errors.New("killed")
						}
						return nil
					}
				}
				engine := deploy.New(sim.Client(enginetest.Hooks{Before: hook(!lost), After: hook(lost)}))
				stack := smallStack("t")
				err := engine.Apply(ctx, planFor(t, engine, stack), stack, deploy.ApplyOptions{})
				calls = max(calls, int(writes.Load()))
				if err == nil && calls >= n {
					t.Errorf("call %d, lost answer %v: no error", n, lost)
				}
				rollout(t, deploy.New(sim.Client(enginetest.Hooks{})), stack)
				if again := planFor(t, foreign, stack); !again.Empty() {
					t.Errorf("then: %v", lines(again))
				}
				if diff := cmp.Diff(before, sim.State().Only(other)); diff != "" {
					t.Errorf("the other stack:\n%s", diff)
				}
			})
		}
		if calls < n {
			break
		}
	}
}

// BenchmarkSimulatedRollout takes a stack of three services from nothing to its end.
func BenchmarkSimulatedRollout(b *testing.B) {
	for b.Loop() {
		sim := simulated()
		engine := deploy.New(sim.Client(enginetest.Hooks{}))
		stack := smallStack("t")
		stack.Waves = map[string]int{}
		live, err := engine.Observe(b.Context(), stack)
		if err != nil {
			b.Fatal(err)
		}
		plan, err := deploy.Diff(live, stack)
		if err != nil {
			b.Fatal(err)
		}
		if err := engine.Apply(b.Context(), plan, stack, deploy.ApplyOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
