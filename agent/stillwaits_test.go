package agent_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy/enginetest"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
	"coin.internal/coin-agent/secrets"
)

// waiting is a commit that waits for a user, on a simulated engine, with what its looks cost.
type waiting struct {
	*world
	sim             *enginetest.Engine
	counted         *calls
	renders, writes atomic.Int64
	keys            atomic.Value // string
	policy          *policy.Current
}

// inWaiting runs a test with a commit that waits for a user, and whose plan changes a service.
func inWaiting(t *testing.T, test func(w *waiting)) {
	t.Helper()
	inWorld(t, func(world *world) {
		w := &waiting{world: world, policy: policy.NewCurrent(nil)}
		w.keys.Store("")
		w.sim, w.counted = onSimulated(world, "app:1", "app:2")
		simulated := world.change
		world.change = func(parts *agent.Parts) {
			simulated(parts)
			parts.Policy, parts.Settings.Limits = w.policy, limits.Default()
			parts.KeyState = func() string { return w.keys.Load().(string) }
			parts.Render = func(node *manifests.Node, set *secrets.Set, options compose.Options) (*compose.Stack, error) {
				w.renders.Add(1)
				return compose.Render(node, set, options)
			}
			parts.Store.Around = func(write func() error) error {
				w.writes.Add(1)
				return write()
			}
		}
		world.start()
		world.pass(4 * interval)
		world.wantLast(world.revision.Commit, record.Succeeded)
		world.commit("2", configFile, string(world.files[configFile].Data)+"deployment: {auto_deploy: false}\n", nodeDir+"node.env", "TAG=2\n")
		world.pass(2 * interval)
		world.wantLast(world.revision.Commit, record.Waiting)
		w.take()
		test(w)
	})
}

// take gives what looks have cost since it was called last.
func (w *waiting) take() (renders, writes int64, calls map[string]int) {
	return w.renders.Swap(0), w.writes.Swap(0), w.counted.take()
}

// renderedAnew checks that a change has the next look render the files again, and no look after what
// the engine has to say about the change.
func (w *waiting) renderedAnew(what string, change func() error) {
	w.t.Helper()
	if err := change(); err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
	w.pass(3 * interval)
	if got, _, _ := w.take(); got == 0 {
		w.t.Errorf("%s: not rendered anew", what)
	}
	w.pass(8 * interval)
	if got, _, _ := w.take(); got > 1 { // once when the verdict about the release is old
		w.t.Errorf("%s: rendered %d times by looks after the next ones", what, got)
	}
	w.wantLast(w.revision.Commit, record.Waiting)
}

// TestStillWaits counts what the looks at a sync that waits cost: nothing is rendered or written, and
// the engine is asked once for each kind of object, and for the services that status shows.
func TestStillWaits(t *testing.T) {
	inWaiting(t, func(w *waiting) {
		before, looks := w.last(), w.listings()
		w.pass(10 * interval)
		looks = w.listings() - looks
		renders, writes, calls := w.take()
		if renders != 0 || writes != 0 {
			t.Errorf("%d looks: rendered %d times, %d transactions", looks, renders, writes)
		}
		want := map[string]int{"ServiceList": 2 * looks, "SecretList": looks, "ConfigList": looks, "NetworkList": looks}
		for name, count := range want {
			if looks < 8 || len(calls) != len(want) || calls[name] != count {
				t.Errorf("%d looks: %v", looks, calls)
				break
			}
		}
		w.pass(20 * time.Minute)
		if renders, _, _ := w.take(); renders < 1 || renders > 2 {
			t.Errorf("rendered %d times in 20 minutes: registries are asked every 10", renders)
		}
		if after := w.last(); after.ID != before.ID || after.PlanDigest != before.PlanDigest || after.Waiting != before.Waiting {
			t.Errorf("waits as %+v", after)
		}
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			t.Fatal(err)
		}
		w.wantLast(w.revision.Commit, record.Succeeded)
		if renders, _, _ := w.take(); renders != 1 {
			t.Errorf("rendered %d times by the rollout", renders)
		}
	})
}

// TestWaitsAnew changes what the plan of a sync that waits is made of.
func TestWaitsAnew(t *testing.T) {
	inWaiting(t, func(w *waiting) {
		hand := w.sim.Client(enginetest.Hooks{})
		labels := map[string]string{compose.LabelStack: "s"}
		anew := func(what string, change func(context.Context) error) {
			t.Helper()
			w.renderedAnew(what, func() error { return change(w.t.Context()) })
		}
		anew("a service", func(ctx context.Context) error {
			return w.sim.UpdateService(ctx, "s_web", func(spec *swarm.ServiceSpec) { spec.Labels["by"] = "hand" })
		})
		anew("a network of another stack", func(ctx context.Context) error {
			_, err := hand.NetworkCreate(ctx, "other", network.CreateOptions{Driver: "overlay"})
			return err
		})
		anew("a secret", func(ctx context.Context) error {
			_, err := hand.SecretCreate(ctx, swarm.SecretSpec{Annotations: swarm.Annotations{Name: "s_a", Labels: labels}, Data: []byte("x")})
			return err
		})
		anew("a config", func(ctx context.Context) error {
			_, err := hand.ConfigCreate(ctx, swarm.ConfigSpec{Annotations: swarm.Annotations{Name: "s_b", Labels: labels}, Data: []byte("x")})
			return err
		})
		anew("the keys", func(context.Context) error { w.keys.Store("others"); return nil })
		anew("the policy", func(context.Context) error {
			w.policy.Reload(&policy.Policy{Checks: &policy.Checks{Credentials: policy.PerService{"harbor.token": {"a.example"}}}}, nil)
			return nil
		})
		anew("a restart", func(context.Context) error { w.halt(); w.take(); w.start(); return nil })

		w.commit("3", nodeDir+"node.env", "TAG=1\n")
		w.pass(2 * interval)
		w.wantLast(w.revision.Commit, record.Waiting)
		if renders, _, _ := w.take(); renders != 1 {
			t.Errorf("another commit: rendered %d times", renders)
		}
	})
}

// TestWaitsForRefused has the policy refuse what a sync that waits would write.
func TestWaitsForRefused(t *testing.T) {
	inWaiting(t, func(w *waiting) {
		w.policy.Reload(&policy.Policy{Registries: policy.Patterns{"harbor.example"}}, nil)
		w.pass(2 * interval)
		if sync := w.last(); sync.State != record.Failed || sync.Stage != record.StagePolicy {
			t.Errorf("%s at %s: %s", sync.State, sync.Stage, sync.Error)
		}
	})
}
