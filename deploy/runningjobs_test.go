package deploy_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/waitfor"
)

// TestRunningJobs covers jobs that run, that have ended and that wait for their
// restart, and a service that is not a job.
func TestRunningJobs(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := newStack(on.Stack(t))
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
		job(time.Second, "JOB_DELAY=25s")(spec) // the container outlives its service
		spec.Mode, spec.UpdateConfig = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{}}, nil
	})
	add(stack, "short", func(spec *swarm.ServiceSpec) {
		job(time.Second)(spec)
		spec.Mode, spec.UpdateConfig = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{}}, nil
	})
	if err := engine.Apply(t.Context(), planFor(t, engine, stack), stack, deploy.ApplyOptions{Wait: func(context.Context, deploy.Wave) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	want := []string{stack.Name + "_long", stack.Name + "_migrate"}
	waitfor.NoError(t, 5*time.Minute, func() error {
		for _, task := range append(on.Tasks(t, stack.Name+"_short"), on.Tasks(t, stack.Name+"_test_setup")...) {
			if state := task.Status.State; state != swarm.TaskStateComplete && state != swarm.TaskStateFailed && task.DesiredState != swarm.TaskStateReady {
				return fmt.Errorf("a task is %s", state)
			}
		}
		got, err := engine.RunningJobs(t.Context(), stack.Name)
		if err == nil && !slices.Equal(got, want) {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return err
	})
}
