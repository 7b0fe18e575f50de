package deploy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
)

// swarmWith gives the test's Swarm with the demo images, a recorder before it
// and an engine that goes through the recorder.
func swarmWith(tb testing.TB) (*swarmtest.Swarm, *swarmtest.Recorder, *deploy.Engine) {
	tb.Helper()
	if test, ok := tb.(*testing.T); ok && !strings.Contains(tb.Name(), "/") {
		test.Parallel() // each has its own stack, and mostly waits
	}
	on := swarmtest.Engine(tb)
	on.Image(tb, image1, image2)
	recorder := on.Record(tb)
	return on, recorder, connect(tb, recorder.Host)
}

func TestSecondRolloutWritesNothing(t *testing.T) {
	on, recorder, engine := swarmWith(t)
	stack := newStack(on.Stack(t))
	reference := addSecret(stack, "db_access", "1", "canary-content")
	stack.Configs = append(stack.Configs, compose.Config{Key: "settings", Spec: swarm.ConfigSpec{
		Annotations: swarm.Annotations{Name: stack.Name + "_settings", Labels: ownLabels(stack.Name)}, Data: []byte("a=1"),
	}})
	add(stack, "api", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{reference}
		s.TaskTemplate.ContainerSpec.Configs = []*swarm.ConfigReference{{
			ConfigName: stack.Name + "_settings", File: &swarm.ConfigReferenceFileTarget{Name: "/settings", UID: "0", GID: "0", Mode: 0o444},
		}}
	})
	add(stack, "migrate", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "migrate"}
		s.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone}
	})
	add(stack, "job", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "once"}
		s.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone}
		s.Mode = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{}}
		s.UpdateConfig = nil
	})
	add(stack, "each", func(s *swarm.ServiceSpec) { s.Mode = swarm.ServiceMode{Global: &swarm.GlobalService{}} })

	plan := rollout(t, engine, stack)
	want := []string{
		"create network default", "create secret db_access.1", "create config settings",
		"create service job", "create service migrate", "create service api", "create service each",
	}
	if diff := cmp.Diff(want, lines(plan)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}

	recorder.Reset()
	if again := rollout(t, engine, stack); !again.Empty() {
		t.Errorf("second plan is not empty: %+v", again.Steps)
	}
	if writes := recorder.Writes(); len(writes) > 0 {
		t.Errorf("second rollout wrote: %v", writes)
	}
	recorder.Reset()
	live, err := engine.ObserveServices(t.Context(), stack.Name)
	if err != nil {
		t.Fatal(err)
	}
	if drift := deploy.Drift(live, stack); len(drift) > 0 {
		t.Errorf("drift: %+v", drift)
	}
	if calls := recorder.Calls(); len(calls) != 1 {
		t.Errorf("an idle look took %v", calls)
	}
	for _, status := range deploy.Summarise(stack.Name, live) {
		if strings.HasSuffix(status.Name, "_api") && (status.Running != 1 || status.Desired != 1 || status.Image != image1) {
			t.Errorf("status: %+v", status)
		}
	}
}

func TestUpdatesOnlyWhatDiffers(t *testing.T) {
	on, recorder, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	reference := addSecret(stack, "db_access", "1", "canary-one")
	add(stack, "api", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{reference}
	})
	add(stack, "web", nil)
	rollout(t, engine, stack)
	web := on.Tasks(t, stack.Name+"_web")

	t.Run("secret raised", func(t *testing.T) {
		stack.Secrets = nil
		raised := addSecret(stack, "db_access", "2", "canary-two")
		stack.Services[stack.Name+"_api"].TaskTemplate.ContainerSpec.Secrets[0] = raised
		recorder.Reset()
		plan := rollout(t, engine, stack)
		if diff := cmp.Diff([]string{"create secret db_access.2", "update service api"}, lines(plan)); diff != "" {
			t.Error(diff)
		}
		change := deploy.Change{
			Path: "TaskTemplate.ContainerSpec.Secrets[db_access].SecretName",
			Old:  stack.Name + "_db_access.1", New: stack.Name + "_db_access.2",
		}
		if diff := cmp.Diff([]deploy.Change{change}, plan.Steps[1].Changes); diff != "" {
			t.Error(diff)
		}
		if writes := recorder.Writes(); len(writes) != 2 {
			t.Errorf("writes: %v", writes)
		}
	})
	t.Run("tag changed", func(t *testing.T) {
		spec := stack.Services[stack.Name+"_api"]
		spec.TaskTemplate.ContainerSpec.Image = image2
		spec.Labels[compose.LabelImage] = image2
		recorder.Reset()
		plan := rollout(t, engine, stack)
		if diff := cmp.Diff([]string{"update service api"}, lines(plan)); diff != "" {
			t.Error(diff)
		}
		if writes := recorder.Writes(); len(writes) != 1 {
			t.Errorf("writes: %v", writes)
		}
	})
	if diff := cmp.Diff(taskIDs(web), taskIDs(on.Tasks(t, stack.Name+"_web"))); diff != "" {
		t.Errorf("web restarted:\n%s", diff)
	}
}

func taskIDs(tasks []swarm.Task) map[string]bool {
	ids := map[string]bool{}
	for _, task := range tasks {
		ids[task.ID] = true
	}
	return ids
}

func TestPruneLeavesOtherStacks(t *testing.T) {
	on, _, engine := swarmWith(t)
	one, other := hostStack(on.Stack(t)), hostStack(on.Stack(t))
	add(one, "a", nil)
	add(one, "b", nil)
	add(other, "a", nil)
	rollout(t, engine, one)
	rollout(t, engine, other)
	delete(one.Services, one.Name+"_b")
	plan := rollout(t, engine, one)
	if diff := cmp.Diff([]string{"remove service b"}, lines(plan)); diff != "" {
		t.Error(diff)
	}
	if again := planFor(t, engine, other); !again.Empty() {
		t.Errorf("the other stack was touched: %+v", again.Steps)
	}
	if live, err := engine.ObserveServices(t.Context(), one.Name); err != nil || len(live) != 1 {
		t.Errorf("services %v, %v", live, err)
	}
}

func TestCronIsPausedDuringChanges(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	add(stack, "cron_service", nil)
	add(stack, "web", nil)
	rollout(t, engine, stack)
	spec := stack.Services[stack.Name+"_web"]
	spec.TaskTemplate.ContainerSpec.Image = image2
	plan := rollout(t, engine, stack)
	want := []string{"scale-down service cron_service", "update service web", "update service cron_service"}
	if diff := cmp.Diff(want, lines(plan)); diff != "" {
		t.Error(diff)
	}
	if again := planFor(t, engine, stack); !again.Empty() {
		t.Errorf("then: %+v", again.Steps)
	}
}

// TestChangedMigrationRuns changes a one-shot service: Swarm treats its ended task
// as failed, and pauses the update.
func TestChangedMigrationRuns(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	add(stack, "migrate", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "migrate"}
		s.TaskTemplate.RestartPolicy = soon("none")
		s.UpdateConfig.Monitor = 5 * time.Second
	})
	rollout(t, engine, stack)
	first := taskIDs(on.Tasks(t, stack.Name+"_migrate"))
	stack.Services[stack.Name+"_migrate"].TaskTemplate.ContainerSpec.Image = image2
	rollout(t, engine, stack)
	if again := taskIDs(on.Tasks(t, stack.Name+"_migrate")); len(again) != len(first)+1 {
		t.Errorf("tasks %v, then %v", first, again)
	}
	if plan := rollout(t, engine, stack); !plan.Empty() {
		t.Errorf("then: %+v", plan.Steps)
	}
}
