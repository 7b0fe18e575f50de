package stackdeploy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
	"coin.internal/coin-agent/stackdeploy"
)

const canary = "canary-of-a-secret"

// stackOf makes a stack without an owner: a secret, migrate, a service and a cron service.
func stackOf(name, image string) *compose.Stack {
	labels := func() map[string]string { return map[string]string{compose.LabelStack: name} }
	stack := &compose.Stack{
		Name: name, Resolve: compose.ResolveChanged, Services: map[string]swarm.ServiceSpec{},
		Networks: map[string]network.CreateOptions{name + "_default": {Driver: "overlay", Labels: labels()}},
		Secrets: []compose.Secret{{
			Spec:  swarm.SecretSpec{Annotations: swarm.Annotations{Name: "db_access.1", Labels: labels()}},
			Value: secrets.NewValue([]byte(canary)), Key: "db_access", Variable: "SV_db_access",
		}},
	}
	for _, short := range []string{"app", "migrate", "cron_daily"} {
		own := labels()
		own[compose.LabelImage] = image
		one := uint64(1)
		spec := swarm.ServiceSpec{
			Annotations: swarm.Annotations{Name: name + "_" + short, Labels: own},
			Mode:        swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &one}},
			TaskTemplate: swarm.TaskSpec{
				ContainerSpec: &swarm.ContainerSpec{Image: image, Labels: labels(), Privileges: &swarm.Privileges{}},
				Networks:      []swarm.NetworkAttachmentConfig{{Target: name + "_default", Aliases: []string{short}}},
				Placement:     &swarm.Placement{},
				Resources:     &swarm.ResourceRequirements{},
			},
			EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR},
		}
		if short == "migrate" {
			spec.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "migrate"}
			spec.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone}
		}
		stack.Services[spec.Name] = spec
	}
	return stack
}

// set adds a variable to a service.
func set(stack *compose.Stack, short, variable string) *compose.Stack {
	spec := stack.Services[stack.Name+"_"+short]
	spec.TaskTemplate.ContainerSpec.Env = append(spec.TaskTemplate.ContainerSpec.Env, variable)
	return stack
}

// world is a simulated engine that notes writes, within a bubble.
type world struct {
	engine *enginetest.Engine
	client *deploy.Engine
	writes []string
	before func(call enginetest.Call) error
}

func newWorld() *world {
	w := &world{engine: enginetest.New(enginetest.Options{})}
	w.engine.Image("coin/app:1", enginetest.DemoApp())
	w.engine.Image("coin/app:2", enginetest.DemoApp())
	w.client = deploy.New(w.engine.Client(enginetest.Hooks{Before: func(ctx context.Context, call enginetest.Call) error {
		if call.Write {
			w.writes = append(w.writes, call.Method+" "+call.Name)
		}
		if w.before != nil {
			return w.before(call)
		}
		return ctx.Err()
	}}))
	return w
}

// deploy deploys a stack, and gives what a user sees of it.
func (w *world) deploy(ctx context.Context, stack *compose.Stack, takeOver bool) ([]string, error) {
	w.writes = nil
	var seen []string
	deployment, err := stackdeploy.New(ctx, stackdeploy.Options{
		Engine: w.client, Stack: stack, TakeOver: takeOver, Timeout: time.Minute,
		Progress: func(event deploy.Event) {
			if event.Done && event.Err == nil {
				seen = append(seen, fmt.Sprintf("%s %s", event.Step.Action, event.Step.Name))
			}
		},
		Services: func(_ stackdeploy.Wait, result deploy.Result) {
			for _, one := range result.Services {
				seen = append(seen, fmt.Sprintf("%s is %s", one.Name, one.State))
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return seen, deployment.Run(ctx)
}

func TestDeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		seen, err := w.deploy(t.Context(), stackOf("coin", "coin/app:1"), false)
		if err != nil {
			t.Fatal(err)
		}
		migrated, started := slices.Index(seen, "coin_migrate is converged"), slices.Index(seen, "create coin_app")
		if migrated < 0 || started < migrated {
			t.Errorf("app does not wait for migrate:\n%s", strings.Join(seen, "\n"))
		}
		if _, err := w.deploy(t.Context(), stackOf("coin", "coin/app:1"), false); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"SecretUpdate db_access.1"}, w.writes); diff != "" { // by which the engine compares the contents
			t.Errorf("the second deployment writes:\n%s", diff)
		}
		next := stackOf("coin", "coin/app:2")
		delete(next.Services, "coin_migrate")
		if _, err := w.deploy(t.Context(), next, false); err != nil {
			t.Fatal(err)
		}
		want := []string{"SecretUpdate db_access.1", "ServiceUpdate coin_cron_daily", "ServiceUpdate coin_app", "ServiceUpdate coin_cron_daily", "ServiceRemove coin_migrate"}
		if diff := cmp.Diff(want, w.writes); diff != "" {
			t.Errorf("cron is not paused and started again, or migrate is not removed:\n%s", diff)
		}
	})
}

// TestNeighbour deploys a stack whose name begins another's, as sbxapp3 begins sbxapp33.
func TestNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		other := stackOf("sbxapp33", "coin/app:1")
		other.Secrets = nil
		if _, err := w.deploy(t.Context(), set(other, "app", "CRASH_AFTER=1s"), false); err == nil {
			t.Fatal("a service that crashes has converged")
		}
		if _, err := w.deploy(t.Context(), stackOf("sbxapp3", "coin/app:1"), false); err != nil {
			t.Errorf("waits for the services of the other stack: %v", err)
		}
		for _, write := range w.writes {
			if strings.Contains(write, "sbxapp33") {
				t.Errorf("writes to the other stack: %s", write)
			}
		}
	})
}

// owned deploys a stack as the agent of sandbox/node3 does, with its label on each object.
func (w *world) owned(ctx context.Context, stack *compose.Stack) error {
	stack.Owner = "sandbox/node3"
	for _, spec := range stack.Services {
		spec.Labels[compose.LabelOwner] = stack.Owner
	}
	for _, options := range stack.Networks {
		options.Labels[compose.LabelOwner] = stack.Owner
	}
	for _, secret := range stack.Secrets {
		secret.Spec.Labels[compose.LabelOwner] = stack.Owner
	}
	live, err := w.client.Observe(ctx, stack)
	if err != nil {
		return err
	}
	plan, err := deploy.Diff(live, stack)
	if err == nil {
		err = w.client.Apply(ctx, plan, stack, deploy.ApplyOptions{})
	}
	return err
}

// TestTakeOver deploys a stack of an agent, also one of which only networks and secrets exist.
func TestTakeOver(t *testing.T) {
	for name, change := range map[string]func(*compose.Stack){
		"services":  func(*compose.Stack) {},
		"a network": func(s *compose.Stack) { s.Services, s.Secrets = nil, nil },
		"a secret":  func(s *compose.Stack) { s.Services, s.Networks = nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				stack := stackOf("coin", "coin/app:1")
				change(stack)
				if err := w.owned(t.Context(), stack); err != nil {
					t.Fatal(err)
				}
				_, err := w.deploy(t.Context(), stackOf("coin", "coin/app:1"), false)
				if want := "the stack coin is kept in sync with git by the agent of sandbox/node3"; err == nil || err.Error() != want || len(w.writes) > 0 {
					t.Errorf("%v, writes %v, want %q", err, w.writes, want)
				}
				if seen, err := w.deploy(t.Context(), stackOf("coin", "coin/app:1"), true); err != nil {
					t.Fatalf("%v\n%s\nwrites %v", err, strings.Join(seen, "\n"), w.writes)
				}
				if _, err := w.deploy(t.Context(), stackOf("coin", "coin/app:1"), false); err != nil {
					t.Errorf("the stack is not the user's: %v", err)
				}
			})
		})
	}
}

func TestFailures(t *testing.T) {
	for name, one := range map[string]struct {
		stack func() *compose.Stack
		world func(w *world, cancel func())
		want  string // begins the first error
		hint  string
	}{
		"a job that fails": {
			stack: func() *compose.Stack { return set(stackOf("coin", "coin/app:1"), "migrate", "JOB_FAIL=1") },
			want:  "service coin_migrate: task: non-zero exit (1)", hint: "wave 2 did not start, 2 services not changed",
		},
		"a service that does not become ready": {
			stack: func() *compose.Stack { return set(stackOf("coin", "coin/app:1"), "app", "CRASH_AFTER=1s") },
			want:  "service coin_app: task: non-zero exit (3)",
		},
		"an image that is nowhere": {
			stack: func() *compose.Stack { return stackOf("coin", "coin/app:9") },
			want:  "image coin/app:9 of coin_app, coin_cron_daily, coin_migrate is not on this node, and ",
		},
		"an engine that is away": {
			stack: func() *compose.Stack { return stackOf("coin", "coin/app:1") },
			world: func(w *world, _ func()) { w.engine.Stop() },
			want:  "ask the engine for its state: the engine at unix:///run/simulated-engine.sock does not answer",
		},
		"an end by the user": {
			stack: func() *compose.Stack { return stackOf("coin", "coin/app:1") },
			world: func(w *world, cancel func()) {
				w.before = func(call enginetest.Call) error {
					if call.Write && call.Name == "coin_migrate" {
						cancel()
					}
					return nil
				}
			},
			want: "interrupted with 3 services not written: coin_app, coin_cron_daily, coin_migrate", hint: "run the same command again",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if one.world != nil {
					one.world(w, cancel)
				}
				_, err := w.deploy(ctx, one.stack(), false)
				all := fault.All(err)
				if len(all) == 0 || !strings.HasPrefix(all[0].Error(), one.want) || !strings.Contains(fault.Hint(all[0]), one.hint) {
					t.Fatalf("error %v (hint %s)\nwant %s", err, fault.Hint(err), one.want)
				}
				for _, one := range all {
					text := one.Error() + "\n" + fault.Hint(one)
					if strings.Contains(text, canary) || strings.Contains(text, "config.yml") || strings.Contains(text, "`agent") {
						t.Errorf("the text does not fit: %s", text)
					}
				}
				if errors.Is(err, stackdeploy.ErrInterrupted) {
					w.before = nil
					if _, err := w.deploy(t.Context(), one.stack(), false); err != nil {
						t.Errorf("the next deployment: %v", err)
					}
				}
			})
		})
	}
}

// TestOtherContent keeps the name of a secret, and changes its content.
func TestOtherContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		if _, err := w.deploy(t.Context(), stackOf("coin", "coin/app:1"), false); err != nil {
			t.Fatal(err)
		}
		changed := stackOf("coin", "coin/app:2")
		changed.Secrets[0].Value = secrets.NewValue([]byte(canary + "2"))
		_, err := w.deploy(t.Context(), changed, false)
		if err == nil || err.Error() != "secret db_access.1 exists with different content, and a secret cannot be changed" || !strings.Contains(fault.Hint(err), "SV_db_access") {
			t.Errorf("error %v (hint %s)", err, fault.Hint(err))
		}
		if diff := cmp.Diff([]string{"SecretUpdate db_access.1"}, w.writes); diff != "" {
			t.Errorf("writes:\n%s", diff)
		}
	})
}
