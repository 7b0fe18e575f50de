package deploy_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
)

// TestDueJobs has jobs wait for a restart that never comes, for a node, and in a job mode.
func TestDueJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := deploy.New(simulated().Client(enginetest.Hooks{}))
		stack := newStack("s")
		job := func(condition swarm.RestartPolicyCondition, change func(*swarm.ServiceSpec)) func(*swarm.ServiceSpec) {
			return func(s *swarm.ServiceSpec) {
				delay := time.Hour
				s.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "migrate"}
				s.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: condition, Delay: &delay}
				change(s)
			}
		}
		fails := func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Env = []string{"JOB_FAIL=1"} }
		add(stack, "migrate_failed_for_good", job("none", fails))
		add(stack, "migrate_failed", job("on-failure", fails))
		add(stack, "migrate_homeless", job("none", func(s *swarm.ServiceSpec) {
			s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.hostname==nowhere"}}
		}))
		add(stack, "migrate_succeeded", job("on-failure", func(*swarm.ServiceSpec) {}))
		add(stack, "lasting", job("on-failure", func(s *swarm.ServiceSpec) {
			fails(s)
			s.Mode, s.UpdateConfig = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{}}, nil
		}))
		add(stack, "web", nil)
		if err := engine.Apply(t.Context(), planFor(t, engine, stack), stack, deploy.ApplyOptions{Wait: func(context.Context, deploy.Wave) error { return nil }}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		got, err := engine.Jobs(t.Context(), "s")
		want := deploy.Jobs{Due: []string{"s_migrate_failed", "s_migrate_homeless"}, Lasting: []string{"s_lasting"}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

// TestStopJobs has a migration fail that Swarm restarts for ever: once it is stopped, no task of
// it begins, and the stack that says so has no difference. An update of a label starts none.
func TestStopJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulated()
		client := sim.Client(enginetest.Hooks{})
		engine := deploy.New(client)
		stack := newStack("s")
		delay := 5 * time.Second
		add(stack, "migrate", func(s *swarm.ServiceSpec) {
			s.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "migrate"}
			s.TaskTemplate.ContainerSpec.Env = []string{"JOB_FAIL=1"}
			s.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: "on-failure", Delay: &delay}
		})
		add(stack, "web", nil)
		if err := engine.Apply(t.Context(), planFor(t, engine, stack), stack, deploy.ApplyOptions{}); err == nil {
			t.Fatal("the migration did not fail")
		}
		due := func() []string {
			t.Helper()
			jobs, err := engine.Jobs(t.Context(), "s")
			if err != nil {
				t.Fatal(err)
			}
			return jobs.Due
		}
		names := []string{"s_migrate"}
		if got := due(); !slices.Equal(got, names) {
			t.Fatalf("due: %q", got)
		}
		if err := engine.StopJobs(t.Context(), "s", append(names, "s_gone"), func(event deploy.Event) error { return event.Err }); err != nil {
			t.Fatal(err)
		}
		stopped := time.Now()
		time.Sleep(10 * time.Minute)
		tasks, err := client.TaskList(t.Context(), swarm.TaskListOptions{})
		if err != nil || len(due()) > 0 {
			t.Errorf("due: %q, %v", due(), err)
		}
		for _, task := range tasks {
			if task.CreatedAt.After(stopped) && len(task.Spec.ContainerSpec.Args) > 0 {
				t.Errorf("task %s began %s after the stop", task.ID, task.CreatedAt.Sub(stopped))
			}
		}
		live, err := engine.ObserveServices(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		want := deploy.Stopped(deploy.Only(stack, names), append(names, "s_other"))
		if steps := deploy.Drift(live, want); len(want.Services) != 1 || slices.ContainsFunc(steps, func(s deploy.Step) bool { return s.Name == "s_migrate" }) {
			t.Errorf("it differs: %+v", steps)
		}
	})
}
