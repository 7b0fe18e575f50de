package deploy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// replan plans a rollout again, as after a failure.
func replan(t *testing.T, engine *deploy.Engine, stack *compose.Stack) (deploy.Plan, *compose.Stack) {
	t.Helper()
	live, err := engine.Observe(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	again, err := engine.Rerun(t.Context(), live.Services, stack)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := deploy.Diff(live, again)
	if err != nil {
		t.Fatal(err)
	}
	return plan, again
}

// TestRetryRunsFailedServicesAgain covers failures with a cause outside the stack that
// is fixed: the specs do not differ, and Swarm does not restart the tasks.
func TestRetryRunsFailedServicesAgain(t *testing.T) {
	folder := func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "data") }
	for name, change := range map[string]func(*swarm.ServiceSpec){
		"an update that Swarm paused half way": replicated(2),
		"a task that is not started again":     func(s *swarm.ServiceSpec) { s.TaskTemplate.RestartPolicy = soon("none") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on, _, engine := swarmWith(t)
			stack, data := hostStack(on.Stack(t)), folder(t)
			add(stack, "web", change)
			add(stack, "well", nil)
			rollout(t, engine, stack)
			stack.Services[stack.Name+"_web"].TaskTemplate.ContainerSpec.Mounts = []mount.Mount{{Type: mount.TypeBind, Source: data, Target: "/data"}}
			if err := verify(t, engine, stack, apply(t, engine, stack)).Err(); err == nil || !strings.Contains(err.Error(), "_web: invalid mount config") {
				t.Fatalf("without the folder: %v", err)
			}
			if err := os.Mkdir(data, 0o755); err != nil { //nolint:gosec // the engine's containers read it
				t.Fatal(err)
			}
			plan, again := replan(t, engine, stack)
			if diff := cmp.Diff([]string{"update service web"}, lines(plan)); diff != "" {
				t.Error(diff)
			}
			if err := engine.Apply(t.Context(), plan, again, deploy.ApplyOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := verify(t, engine, again, plan).Err(); err != nil {
				t.Fatal(err)
			}
			if plan, _ := replan(t, engine, stack); !plan.Empty() {
				t.Errorf("then: %v", lines(plan))
			}
		})
	}
}
