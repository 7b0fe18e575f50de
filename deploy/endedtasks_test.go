package deploy_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
)

// lateWorker is an engine whose worker's clock is 11 minutes behind.
type lateWorker struct{ *enginetest.Client }

func (l lateWorker) TaskList(ctx context.Context, options swarm.TaskListOptions) ([]swarm.Task, error) {
	tasks, err := l.Client.TaskList(ctx, options)
	for i := range tasks {
		tasks[i].Status.Timestamp = tasks[i].Status.Timestamp.Add(-11 * time.Minute)
	}
	return tasks, err
}

// TestEnded lists the crashes of a service, with their exit code and when the managers learned
// of them, and none of a service that was stopped or that runs.
func TestEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulated()
		sim.Image("coin/crashes:1", enginetest.Crashes(3, 20*time.Second))
		engine := deploy.New(lateWorker{sim.Client(enginetest.Hooks{})})
		stack := newStack("t")
		add(stack, "web", nil)
		add(stack, "crashes", func(s *swarm.ServiceSpec) {
			s.TaskTemplate.ContainerSpec.Image, s.TaskTemplate.RestartPolicy = "coin/crashes:1", soon("any")
		})
		rollout(t, engine, stack)
		setImage(stack, "web", image2)
		rollout(t, engine, stack)
		time.Sleep(time.Minute)
		live, err := engine.ObserveServices(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		ended, err := deploy.TasksOf(engine).Ended(t.Context(), "t", deploy.Summarise("t", live))
		if err != nil || len(ended["t_web"]) != 0 || len(ended["t_crashes"]) < 2 {
			t.Fatalf("%+v, %v", ended, err)
		}
		for _, task := range ended["t_crashes"] {
			if task.ExitCode != 3 || task.Error != "task: non-zero exit (3)" || task.ID == "" || time.Since(task.At) > 2*time.Minute {
				t.Errorf("%+v", task)
			}
		}
	})
}
