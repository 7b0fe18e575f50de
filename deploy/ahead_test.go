package deploy_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
)

// TestAhead reads a stack that is known only after its name, and wants what one reading gives: also
// objects that only their names find, and the same question again.
func TestAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		engine := deploy.New(simulated().Client(enginetest.Hooks{Before: func(context.Context, enginetest.Call) error {
			calls.Add(1)
			return nil
		}}))
		rollout(t, engine, smallStack("other"))
		stack := smallStack("t")
		rollout(t, engine, stack)
		stack.ExternalSecrets = []string{"other_db_access.1", "nowhere"}
		want, err := engine.Observe(t.Context(), stack)
		if err != nil {
			t.Fatal(err)
		}
		calls.Store(0)
		ahead := engine.Ahead(t.Context(), "t")
		defer ahead.Stop()
		synctest.Wait()
		if n := calls.Load(); n != 4 {
			t.Errorf("%d calls ahead", n)
		}
		live, err := ahead.Observe(t.Context(), stack)
		if err != nil {
			t.Fatal(err)
		}
		if n := calls.Load(); n != 5 {
			t.Errorf("%d calls, want one more for the secrets of others", n)
		}
		for _, one := range [][2]any{{want.Services, live.Services}, {want.Networks, live.Networks}, {want.Secrets, live.Secrets}, {want.Configs, live.Configs}, {want.APIVersion, live.APIVersion}} {
			if diff := cmp.Diff(one[0], one[1]); diff != "" {
				t.Errorf("read ahead (-want +got):\n%s", diff)
			}
		}
		if same, err := live.Facts().Same(t.Context()); !same || err != nil {
			t.Errorf("asked again: %t, %v", same, err)
		}
		if _, found := live.Secrets["other_db_access.1"]; !found {
			t.Error("the secret of the other stack was not found")
		}
	})
}

// TestAheadOfAnEngineThatHangs ends a reading at once: by Stop, and by the end of the caller's time.
func TestAheadOfAnEngineThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := deploy.New(simulated().Client(enginetest.Hooks{Before: func(ctx context.Context, _ enginetest.Call) error {
			<-ctx.Done()
			return ctx.Err()
		}}))
		began := time.Now()
		engine.Ahead(t.Context(), "t").Stop()
		ahead := engine.Ahead(t.Context(), "t")
		defer ahead.Stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := ahead.Observe(ctx, smallStack("t")); !errors.Is(err, context.Canceled) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
