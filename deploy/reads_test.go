package deploy_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
)

// TestReadsOfAWait counts the engine's reads while a rollout waits: at most two a second
// and five more, however many services change, and however long it takes.
func TestReadsOfAWait(t *testing.T) {
	for name, test := range map[string]struct{ services, changed int }{
		"1 of 20": {20, 1}, "20 of 20": {20, 20}, "200 of 200": {200, 200}, "a stuck rollout": {20, -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := simulated()
				sim.Image("coin/slow:1", enginetest.DemoApp(), enginetest.Pulls(time.Hour))
				var reads atomic.Int64
				engine := deploy.New(sim.Client(enginetest.Hooks{Before: func(_ context.Context, call enginetest.Call) error {
					if !call.Write && call.Kind != "engine" {
						reads.Add(1)
					}
					return nil
				}}))
				stack := newStack("t")
				for i := range test.services {
					add(stack, fmt.Sprintf("app%d", i), nil)
				}
				rollout(t, engine, stack)
				for i := range max(test.changed, 1) {
					setImage(stack, fmt.Sprintf("app%d", i), image2)
				}
				timeout := time.Minute
				if test.changed < 0 {
					setImage(stack, "app0", "coin/slow:1")
					timeout = 5 * time.Minute
				}
				plan := apply(t, engine, stack)
				reads.Store(0)
				began := time.Now()
				result, err := engine.Verify(t.Context(), stack, deploy.VerifyOptions{Timeout: timeout, Changed: plan.Changed()})
				if err != nil || result.Converged() != (test.changed > 0) {
					t.Fatalf("%+v, %v", result, err)
				}
				took := time.Since(began)
				if most := 5 + int64(2*took.Seconds()); reads.Load() > most {
					t.Errorf("%d reads in %s, want at most %d", reads.Load(), took, most)
				}
				t.Logf("%d reads in %s", reads.Load(), took)
			})
		})
	}
}
