package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/waitfor"
)

// TestJobs covers jobs that run, that have ended and that wait for their restart, and a service
// that is not a job. One that waits is stopped, and no task of it is left.
func TestJobs(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	job := func(delay time.Duration, env ...string) func(*swarm.ServiceSpec) {
		return func(spec *swarm.ServiceSpec) {
			spec.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "migrate"}
			spec.TaskTemplate.ContainerSpec.Env = append(spec.TaskTemplate.ContainerSpec.Env, env...)
			spec.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionOnFailure, Delay: &delay}
		}
	}
	add(stack, "web", nil)
	add(stack, "migrate", job(time.Second, "JOB_DELAY=5m"))
	add(stack, "test_setup", job(time.Hour, "JOB_FAIL=1"))
	add(stack, "long", func(spec *swarm.ServiceSpec) {
		job(time.Second, "JOB_DELAY=5m")(spec)
		spec.Mode, spec.UpdateConfig = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{}}, nil
	})
	add(stack, "short", func(spec *swarm.ServiceSpec) {
		job(time.Second)(spec)
		spec.Mode, spec.UpdateConfig = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{}}, nil
	})
	if err := engine.Apply(t.Context(), planFor(t, engine, stack), stack, deploy.ApplyOptions{Wait: func(context.Context, deploy.Wave) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	want := deploy.Jobs{
		Running: []string{stack.Name + "_long", stack.Name + "_migrate"},
		Due:     []string{stack.Name + "_test_setup"},
	}
	waitfor.NoError(t, 5*time.Minute, func() error {
		for _, task := range append(on.Tasks(t, stack.Name+"_short"), on.Tasks(t, stack.Name+"_test_setup")...) {
			// A next task may not be ready yet: Swarm can forget to withdraw it when the service is stopped.
			if state := task.Status.State; state != swarm.TaskStateComplete && state != swarm.TaskStateFailed && task.DesiredState != swarm.TaskStateReady {
				return fmt.Errorf("a task is %s", state)
			}
		}
		got, err := engine.Jobs(t.Context(), stack.Name)
		if diff := cmp.Diff(want, got); err == nil && diff != "" {
			return errors.New(diff)
		}
		return err
	})
	for _, task := range on.Tasks(t, stack.Name+"_test_setup") {
		if late := task.UpdatedAt.Sub(task.Status.Timestamp); task.Status.State == swarm.TaskStateFailed && late < 0 {
			t.Errorf("the managers learned %s before the end of a task", -late) // health counts from then on
		}
	}
	var noted []string
	stopped := want.Due
	if err := engine.StopJobs(t.Context(), stack.Name, stopped, func(event deploy.Event) error {
		noted = append(noted, fmt.Sprintf("%s %s %v", event.Step.Action, strings.TrimPrefix(event.Step.Name, stack.Name+"_"), event.Done))
		return event.Err
	}); err != nil || len(noted) == 0 || strings.ReplaceAll(strings.Join(noted, ", ")+", ", "scale-down test_setup false, scale-down test_setup true, ", "") != "" {
		t.Errorf("%v: %q", err, noted) // once, or again for a task that Swarm left
	}
	want.Due = nil
	if got, err := engine.Jobs(t.Context(), stack.Name); err != nil || !cmp.Equal(want, got) {
		t.Errorf("after the stop: %v, %s", err, cmp.Diff(want, got))
	}
	for _, name := range []string{"long", "web"} { // a write would run the one, and the other is not a job
		if err := engine.StopJobs(t.Context(), stack.Name, []string{stack.Name + "_" + name}, func(deploy.Event) error { return errors.New("noted") }); err == nil || !strings.Contains(err.Error(), "not a one-shot service") {
			t.Errorf("%s: %v", name, err)
		}
	}
	live, err := engine.ObserveServices(t.Context(), stack.Name)
	if err != nil {
		t.Fatal(err)
	}
	if plan, err := deploy.Diff(&deploy.Live{Services: live}, deploy.Stopped(stack, stopped)); err != nil || len(plan.Changed()) > 0 {
		t.Errorf("after the stop the plan has %v, %v", lines(plan), err)
	}
	killJob(t, on, stack.Name+"_long")
}

// killJob removes a job that runs. On 20.10 its container outlives the service.
func killJob(t *testing.T, on *swarmtest.Swarm, service string) {
	t.Helper()
	of := filters.NewArgs(filters.Arg("label", "com.docker.swarm.service.name="+service))
	running, err := on.API.ContainerList(t.Context(), container.ListOptions{Filters: of})
	if err != nil {
		t.Fatal(err)
	}
	on.Docker(t, "", "service", "rm", service)
	for _, one := range running {
		_ = on.API.ContainerKill(t.Context(), one.ID, "KILL") // a newer engine may have done it
	}
}
