package deploy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
)

// TestRolloutAfterStackRm rolls out a stack right after `docker stack rm` has removed it:
// the engine lists the old network until the containers of the old tasks have ended.
func TestRolloutAfterStackRm(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := removable(on.Stack(t))
	rollout(t, engine, stack)
	on.Docker(t, "", "stack", "rm", stack.Name)
	rollout(t, engine, stack)
	if again := planFor(t, engine, stack); !again.Empty() {
		t.Errorf("then: %v", lines(again))
	}
}

// removable has two services with a network and a secret.
func removable(name string) *compose.Stack {
	stack := newStack(name)
	reference := addSecret(stack, "a", "1", "canary")
	for _, service := range []string{"api", "web"} {
		add(stack, service, func(s *swarm.ServiceSpec) {
			s.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{reference}
		})
	}
	return stack
}

// TestOldNetworkOnTheSimulatedEngine says while it waits for what, and gives up where the old
// containers do not end.
func TestOldNetworkOnTheSimulatedEngine(t *testing.T) {
	for name, test := range map[string]struct {
		stop  time.Duration // how long the old containers take to stop
		fails string
	}{
		"ends":     {5 * time.Second, ""},
		"ends not": {time.Hour, "the network t_default of the removed stack is still there after 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := enginetest.New(enginetest.Options{})
				sim.Image(image1, enginetest.DemoApp(), func(b *enginetest.Behaviour, _ *swarm.ContainerSpec) { b.Stop = test.stop })
				client := sim.Client(enginetest.Hooks{})
				engine, stack := deploy.New(client), removable("t")
				for _, spec := range stack.Services {
					spec.TaskTemplate.ContainerSpec.StopGracePeriod = &test.stop
				}
				rollout(t, engine, stack)
				for service := range stack.Services {
					if err := client.ServiceRemove(t.Context(), service); err != nil {
						t.Fatal(err)
					}
				}
				if err := client.NetworkRemove(t.Context(), "t_default"); err != nil {
					t.Fatal(err)
				}
				var waited, made []string
				err := engine.Apply(t.Context(), planFor(t, engine, stack), stack, deploy.ApplyOptions{Progress: func(event deploy.Event) error {
					if event.Waits != "" {
						waited = append(waited, event.Step.Name+" "+event.Waits)
					} else if event.Done && event.Err == nil {
						made = append(made, event.Step.Name)
					}
					return nil
				}})
				slices.Sort(waited)
				slices.Sort(made)
				const what = " the network t_default of the removed stack to be gone"
				if diff := cmp.Diff([]string{"t_api" + what, "t_web" + what}, waited); diff != "" {
					t.Error(diff)
				}
				switch {
				case test.fails != "":
					if err == nil || !strings.Contains(err.Error(), test.fails) {
						t.Errorf("got %v, want %q", err, test.fails)
					}
				case err != nil:
					t.Error(err)
				default:
					if diff := cmp.Diff([]string{"t_api", "t_default", "t_web"}, made); diff != "" {
						t.Error(diff)
					}
				}
			})
		})
	}
}

// TestNetworkCreatedAtOnce applies a stack while another process creates its network, which
// the managers notice last.
func TestNetworkCreatedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := enginetest.New(enginetest.Options{})
		sim.Image(image1, enginetest.DemoApp())
		stack := removable("t")
		client := sim.Client(enginetest.Hooks{Before: func(ctx context.Context, call enginetest.Call) error {
			if call.Method != "NetworkCreate" {
				return nil
			}
			if _, err := sim.Client(enginetest.Hooks{}).NetworkCreate(ctx, call.Name, stack.Networks[call.Name]); err != nil {
				t.Error(err)
			}
			return errors.New("Error response from daemon: rpc error: code = Unknown desc = name conflicts with an existing object")
		}})
		rollout(t, deploy.New(client), stack)
	})
}
