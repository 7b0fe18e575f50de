package deploy_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
)

// TestAskOnce says how often a registry is asked for an image that several stacks run.
func TestAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		sim := simulated()
		engine := deploy.New(sim.Client(enginetest.Hooks{Before: func(_ context.Context, call enginetest.Call) error {
			if call.Method == "DistributionInspect" {
				asked++
			}
			return nil
		}}))
		resolve := func(ctx context.Context, name, image string, questions int) string {
			t.Helper()
			asked = 0
			stack := smallStack(name)
			for _, short := range []string{"api", "migrate", "cron_service"} {
				setImage(stack, short, image)
			}
			resolved, err := engine.Resolve(ctx, nil, stack)
			if err != nil || asked != questions {
				t.Errorf("%s: asked %d times, want %d; %v", name, asked, questions, err)
			}
			return resolved.Stack.Services[name+"_api"].TaskTemplate.ContainerSpec.Image
		}
		once := deploy.AskOnce(t.Context())
		first := resolve(once, "a", image1, 1)
		if again := resolve(once, "b", image1, 0); again != first || first == image1 {
			t.Errorf("the second stack has %s, the first %s", again, first)
		}
		sim.Image(image1, enginetest.DemoApp()) // pushed again
		if other := resolve(t.Context(), "c", image1, 1); other == first {
			t.Errorf("without AskOnce it has %s still", other)
		}
		resolve(deploy.AskOnce(t.Context()), "d", image1, 1)
		time.Sleep(10 * time.Second)
		if later := resolve(once, "e", image1, 1); later == first {
			t.Errorf("after ten seconds it has %s still", later)
		}

		sim.Image("coin/late:1", enginetest.Missing())
		resolve(once, "f", "coin/late:1", 1)
		sim.Image("coin/late:1", enginetest.DemoApp())
		if pushed := resolve(once, "g", "coin/late:1", 1); pushed == "coin/late:1" {
			t.Error("an image that was missing is not asked for again")
		}
	})
}
