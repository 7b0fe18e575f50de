package paritytest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/waitfor"
)

// TestTakeOver takes over a running stack of deployment.sh: tags, settings, versioned
// secrets, and a cron service that runs or that a failed script left at 0. The tasks
// continue to run.
func TestTakeOver(t *testing.T) {
	trial := newTrial(t, os.DirFS("testdata"), "running", "app")
	trial.engine.Image(t, "coin/app:7", "coin/job:8")
	for _, state := range []struct {
		cron uint64
		plan []string
	}{
		{1, []string{"update each: labels", "update web: labels", "update app_cron_daily: labels"}},
		{0, []string{"update each: labels", "update web: labels", "update app_cron_daily: replicas"}},
	} {
		if _, err := trial.docker(t, "--with-registry-auth"); err != nil {
			t.Fatal(err)
		}
		trial.scale(t, "app_cron_daily", state.cron)
		before := trial.running(t, 3+int(state.cron))
		plan, _, err := trial.agent(t)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(state.plan, steps(plan)); diff != "" {
			t.Errorf("plan with %d cron services:\n%s", state.cron, diff)
		}
		after := trial.running(t, 4)
		for id, service := range before {
			if after[id] != service {
				t.Errorf("the task %s of %s was replaced", id, service)
			}
		}
		trial.settled(t)
	}
}

// steps lists the steps of a plan, without the stack's name.
func steps(plan deploy.Plan) []string {
	var all []string
	for _, step := range plan.Steps {
		what := "replicas"
		if step.LabelsOnly() {
			what = "labels"
		} else if step.Restarts {
			what = "restarts"
		}
		all = append(all, fmt.Sprintf("%s %s: %s", step.Action, strings.TrimPrefix(step.Name, plan.Stack+"_"), what))
	}
	return all
}

// scale does the same as `docker service scale`.
func (r *trial) scale(t *testing.T, service string, count uint64) {
	t.Helper()
	name := r.node.Stack + "_" + service
	waitfor.NoError(t, 5*time.Minute, func() error { // the engine also updates a new service
		found, _, err := r.engine.API.ServiceInspectWithRaw(t.Context(), name, swarm.ServiceInspectOptions{})
		if err != nil {
			return err
		}
		found.Spec.Mode.Replicated.Replicas = &count
		_, err = r.engine.API.ServiceUpdate(t.Context(), found.ID, found.Version, found.Spec, swarm.ServiceUpdateOptions{})
		return err
	})
}

// running waits until exactly this number of tasks of the stack run and no other task
// is pending. It returns their services by task ID.
func (r *trial) running(t *testing.T, count int) map[string]string {
	t.Helper()
	var tasks map[string]string
	waitfor.NoError(t, 5*time.Minute, func() error {
		tasks = map[string]string{}
		for name := range r.specs(t) {
			for _, task := range r.engine.Tasks(t, name) {
				switch {
				case task.DesiredState != swarm.TaskStateRunning:
				case task.Status.State != swarm.TaskStateRunning:
					return fmt.Errorf("a task of %s is %s: %s", name, task.Status.State, task.Status.Err)
				default:
					tasks[task.ID] = name
				}
			}
		}
		if len(tasks) != count {
			return fmt.Errorf("%d tasks run, want %d: %v", len(tasks), count, slices.Sorted(maps.Values(tasks)))
		}
		return nil
	})
	return tasks
}

// TestOthers checks that the agent refuses objects of another stack, of every kind.
func TestOthers(t *testing.T) {
	unscheduled(t)
	trial := newTrial(t, os.DirFS("testdata"), "running", "others")
	if _, err := trial.docker(t); err != nil {
		t.Fatal(err)
	}
	other := newTrial(t, os.DirFS("testdata"), "running", "others")
	before := trial.specs(t)
	_, writes, err := other.agent(t)
	if err == nil {
		t.Fatal("the plan takes over objects of another stack")
	}
	for _, words := range []string{
		"secret parity-others-secret belongs to stack " + trial.node.Stack,
		"config parity-others-config belongs to stack " + trial.node.Stack,
		"network parity-others-network belongs to stack " + trial.node.Stack,
	} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("error %q, want %q", err, words)
		}
	}
	if updates := serviceUpdates(writes); updates != 0 {
		t.Errorf("writes: %v", writes)
	}
	trial.restartsNothing(t, before)
}
