package deploy_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
)

// TestReplaceStopsFirst replaces a service whose task takes six seconds to stop: no task of the new
// one may work beside it, as on one volume.
func TestReplaceStopsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulated()
		sim.Image(image1, func(b *enginetest.Behaviour, _ *swarm.ContainerSpec) { b.Stop = 6 * time.Second })
		client := sim.Client(enginetest.Hooks{})
		created, removed, failed := 0, false, false
		engine := deploy.New(sim.Client(enginetest.Hooks{Before: func(ctx context.Context, call enginetest.Call) error {
			removed = removed || call.Method == "ServiceRemove"
			if call.Method == "TaskList" && removed && !failed {
				failed = true // one answer is lost: the service is gone, and is made all the same
				return errors.New("connection reset by peer")
			}
			if call.Method != "ServiceCreate" {
				return nil
			}
			created++
			tasks, err := client.TaskList(ctx, swarm.TaskListOptions{})
			for _, task := range tasks {
				if task.Status.State == swarm.TaskStateRunning {
					t.Errorf("service %s is created while task %s runs", call.Name, task.ID)
				}
			}
			return err
		}}))
		stack := newStack("t")
		add(stack, "ledger", nil)
		rollout(t, engine, stack)
		add(stack, "ledger", func(s *swarm.ServiceSpec) { s.Mode = swarm.ServiceMode{Global: &swarm.GlobalService{}} })
		if plan := rollout(t, engine, stack); len(plan.Steps) != 1 || plan.Steps[0].Action != deploy.Replace || created != 2 || !failed {
			t.Errorf("steps %v, %d created, an answer lost %v", lines(plan), created, failed)
		}
	})
}

// TestReplaceKeepsIgnored: a replaced service has the values that its plan showed, which are the live
// ones of fields that the stack ignores.
func TestReplaceKeepsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := deploy.New(simulated().Client(enginetest.Hooks{}))
		stack := newStack("t")
		add(stack, "web", newer)
		rollout(t, engine, stack) // by the process that sets the image
		add(stack, "web", func(s *swarm.ServiceSpec) { s.Mode = swarm.ServiceMode{Global: &swarm.GlobalService{}} })
		stack.Ignored = map[string][]compose.Ignored{"t_web": {{Field: "image"}}}
		plan := rollout(t, engine, stack)
		if len(plan.Steps) != 1 || plan.Steps[0].Action != deploy.Replace || slices.ContainsFunc(plan.Steps[0].Changes, func(c deploy.Change) bool { return c.New == image1 }) {
			t.Fatalf("%+v", plan.Steps)
		}
		live, err := engine.ObserveServices(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		if image := live["t_web"].Spec.TaskTemplate.ContainerSpec.Image; image != image2 {
			t.Errorf("it was made with %s, and the plan keeps %s", image, image2)
		}
		if again := planFor(t, engine, stack); !again.Empty() {
			t.Errorf("the next plan: %v", lines(again))
		}
	})
}
