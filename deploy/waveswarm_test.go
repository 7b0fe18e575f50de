package deploy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
)

// wavesStack has a migration, two services and a cron service.
func wavesStack(name string) *compose.Stack {
	stack := hostStack(name)
	for _, short := range []string{"api", "web", "cron_service"} {
		add(stack, short, nil)
	}
	add(stack, "migrate", ending)
	return stack
}

// change changes the environment of every service of the stack.
func change(stack *compose.Stack, env ...string) {
	for name, spec := range stack.Services {
		container := *spec.TaskTemplate.ContainerSpec
		container.Env = append(slices.Clone(container.Env), env...)
		spec.TaskTemplate.ContainerSpec = &container
		stack.Services[name] = spec
	}
}

// seen gives the live services of a stack by their short names.
func seen(t *testing.T, engine *deploy.Engine, stack *compose.Stack) map[string]swarm.Service {
	t.Helper()
	live, err := engine.ObserveServices(t.Context(), stack.Name)
	if err != nil {
		t.Fatal(err)
	}
	services := map[string]swarm.Service{}
	for name, service := range live {
		services[strings.TrimPrefix(name, stack.Name+"_")] = service
	}
	return services
}

func TestFailedMigrationStopsRollout(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := wavesStack(on.Stack(t))
	rollout(t, engine, stack)
	before := seen(t, engine, stack)
	change(stack, "JOB_FAIL=migrate")

	var woken []string
	err := engine.Apply(t.Context(), planFor(t, engine, stack), stack, deploy.ApplyOptions{Progress: func(event deploy.Event) error {
		if event.Done && event.Step.Action == deploy.ScaleUp {
			woken = append(woken, event.Step.Name)
		}
		return nil
	}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, says := range []string{"_migrate: task: non-zero exit (1)", "failed on demand (JOB_FAIL); its task failed"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
	if diff := cmp.Diff([]string{stack.Name + "_cron_service"}, woken); diff != "" {
		t.Error(diff)
	}
	after := seen(t, engine, stack)
	for _, name := range []string{"api", "web"} {
		if before[name].Version != after[name].Version {
			t.Errorf("%s was written", name)
		}
	}
	if replicas := *after["cron_service"].Spec.Mode.Replicated.Replicas; replicas != 1 {
		t.Errorf("cron_service is left at %d", replicas)
	}
	testRetry(t, engine, stack)
}

// testRetry plans again after the failure: only the failed migration runs once more, and a
// resumed plan does not run it more often.
func testRetry(t *testing.T, engine *deploy.Engine, stack *compose.Stack) {
	t.Helper()
	plan, again := replan(t, engine, stack)
	want := []string{"0 scale-down cron_service", "1 update migrate", "2 update api", "2 update web", "2 update cron_service"}
	if diff := cmp.Diff(want, waveLines(plan)); diff != "" {
		t.Error(diff)
	}
	if err := engine.Apply(t.Context(), plan, again, deploy.ApplyOptions{}); err == nil || !strings.Contains(err.Error(), "non-zero exit (1)") {
		t.Errorf("a retry: %v", err)
	}
	if counter := seen(t, engine, stack)["migrate"].Spec.TaskTemplate.ForceUpdate; counter != 1 {
		t.Errorf("the restart counter is %d", counter)
	}
	if carried := planFor(t, engine, plan.Recorded().WithReruns(stack)); slices.Contains(waveLines(carried), "1 update migrate") {
		t.Errorf("carried on, it runs again: %v", waveLines(carried))
	}
}

// TestSucceededMigrationDoesNotRunAgain covers a migration that exited with 0.
func TestSucceededMigrationDoesNotRunAgain(t *testing.T) {
	on, recorder, engine := swarmWith(t)
	stack := wavesStack(on.Stack(t))
	rollout(t, engine, stack)
	live, err := engine.Observe(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	again, err := engine.Rerun(t.Context(), live.Services, stack)
	if err != nil {
		t.Fatal(err)
	}
	if plan, err := deploy.Diff(live, again); err != nil || !plan.Empty() {
		t.Errorf("plan %v, %v", lines(plan), err)
	}
	delete(stack.Services, stack.Name+"_migrate")
	recorder.Reset()
	if _, err := engine.Rerun(t.Context(), live.Services, stack); err != nil || len(recorder.Calls()) > 0 {
		t.Errorf("without jobs: %v, %v", recorder.Calls(), err)
	}
}

func TestNextWaveWaits(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := wavesStack(on.Stack(t))
	stack.Waves = map[string]int{stack.Name + "_migrate": 1, stack.Name + "_api": 2}
	rollout(t, engine, stack)
	change(stack, "JOB_DELAY=1s")
	rollout(t, engine, stack)
	services := seen(t, engine, stack)
	tasks := on.Tasks(t, stack.Name+"_migrate")
	ended := time.Time{}
	for _, task := range tasks {
		if task.Status.State == swarm.TaskStateComplete && task.Status.Timestamp.After(ended) {
			ended = task.Status.Timestamp
		}
	}
	if ended.IsZero() || !services["api"].UpdatedAt.After(ended) {
		t.Errorf("api was written at %s, migrate was done at %s", services["api"].UpdatedAt, ended)
	}
	well := time.Time{}
	for _, task := range on.Tasks(t, stack.Name+"_api") {
		if task.DesiredState == swarm.TaskStateRunning {
			well = task.Status.Timestamp
		}
	}
	for _, name := range []string{"web", "cron_service"} {
		if !services[name].UpdatedAt.After(well) {
			t.Errorf("%s was written at %s, api was well at %s", name, services[name].UpdatedAt, well)
		}
	}
}

// TestApplyKilledBetweenWaves stops an Apply while it waits. The next Apply finds the
// first wave written, and waits for it as well.
func TestApplyKilledBetweenWaves(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := wavesStack(on.Stack(t))
	rollout(t, engine, stack)
	change(stack, "JOB_FAIL=migrate", "JOB_DELAY=2s")
	first := planFor(t, engine, stack)
	ctx, kill := context.WithCancel(t.Context())
	err := engine.Apply(ctx, first, stack, deploy.ApplyOptions{Wait: func(ctx context.Context, _ deploy.Wave) error {
		kill()
		return ctx.Err()
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	before := seen(t, engine, stack)
	if replicas := *before["cron_service"].Spec.Mode.Replicated.Replicas; replicas != 0 {
		t.Errorf("cron_service is at %d", replicas)
	}
	plan := planFor(t, engine, stack)
	if diff := cmp.Diff([]string{"2 update api", "2 update web", "2 update cron_service"}, waveLines(plan)); diff != "" {
		t.Error(diff)
	}
	err = engine.Apply(t.Context(), plan, stack, deploy.ApplyOptions{ScaledDown: first.ScaledDown()})
	if err == nil || !strings.Contains(err.Error(), "_migrate: task: non-zero exit (1)") {
		t.Errorf("then: %v", err)
	}
	after := seen(t, engine, stack)
	if before["api"].Version != after["api"].Version {
		t.Error("api was written")
	}
	if replicas := *after["cron_service"].Spec.Mode.Replicated.Replicas; replicas != 1 {
		t.Errorf("cron_service is left at %d", replicas)
	}
}

// TestApplyWaitsForCronJobs has a cron service that stops slowly, also if the Apply was
// interrupted after it scaled the service down.
func TestApplyWaitsForCronJobs(t *testing.T) {
	const grace = 4 * time.Second
	for name, interrupted := range map[string]bool{"at once": false, "carried on": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on, recorder, engine := swarmWith(t)
			stack := wavesStack(on.Stack(t))
			add(stack, "cron_service", func(s *swarm.ServiceSpec) {
				period := grace
				s.TaskTemplate.ContainerSpec.StopSignal, s.TaskTemplate.ContainerSpec.StopGracePeriod = "SIGUSR1", &period
			})
			rollout(t, engine, stack)
			change(stack, "RELEASE=2")
			plan := planFor(t, engine, stack)
			options, began := deploy.ApplyOptions{ScaledDown: plan.ScaledDown()}, time.Now()
			if interrupted {
				ctx, kill := context.WithCancel(t.Context())
				recorder.BeforeWrite(2, func(swarmtest.Call) error { kill(); return errors.New("killed") })
				err := engine.Apply(ctx, plan, stack, deploy.ApplyOptions{Progress: func(event deploy.Event) error {
					if event.Done {
						kill()
					}
					return nil
				}})
				if err == nil {
					t.Fatal("it was not interrupted")
				}
				recorder.Reset()
				plan = planFor(t, engine, stack)
			}
			if err := engine.Apply(t.Context(), plan, stack, options); err != nil {
				t.Fatal(err)
			}
			if after := seen(t, engine, stack)["migrate"].UpdatedAt.Sub(began); after < grace {
				t.Errorf("the migration was written after %s, while the cron service's task still ran", after)
			}
		})
	}
}

// TestOneWaveReadsNothing counts the calls to the engine during an Apply.
func TestOneWaveReadsNothing(t *testing.T) {
	on, recorder, engine := swarmWith(t)
	stack := wavesStack(on.Stack(t))
	delete(stack.Services, stack.Name+"_migrate")
	delete(stack.Services, stack.Name+"_cron_service")
	plan := planFor(t, engine, stack)
	recorder.Reset()
	if err := engine.Apply(t.Context(), plan, stack, deploy.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	if calls, writes := recorder.Calls(), recorder.Writes(); len(calls) != len(writes) {
		t.Errorf("calls %v", calls)
	}
}
