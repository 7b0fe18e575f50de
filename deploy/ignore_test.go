package deploy_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
)

// foreignChanges changes each field that drift_ignore can name, as another process does.
var foreignChanges = map[string]func(*swarm.ServiceSpec){
	"replicas": func(s *swarm.ServiceSpec) {
		s.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: new(uint64(3))}}
	},
	"image":       func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = image2 },
	"environment": func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Env = []string{"OTHER=1"} },
	"labels":      func(s *swarm.ServiceSpec) { s.Labels["other"] = "1" },
	"constraints": func(s *swarm.ServiceSpec) {
		s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.role==manager"}}
	},
	"limits": func(s *swarm.ServiceSpec) {
		s.TaskTemplate.Resources = &swarm.ResourceRequirements{Limits: &swarm.Limit{MemoryBytes: 1 << 30}}
	},
	"reservations": func(s *swarm.ServiceSpec) {
		s.TaskTemplate.Resources = &swarm.ResourceRequirements{Reservations: &swarm.Resources{MemoryBytes: 1 << 26}}
	},
	"update_config":   func(s *swarm.ServiceSpec) { s.UpdateConfig.Parallelism = 7 },
	"rollback_config": func(s *swarm.ServiceSpec) { s.RollbackConfig = &swarm.UpdateConfig{Parallelism: 7} },
	"restart_policy":  func(s *swarm.ServiceSpec) { s.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: "none"} },
}

// TestIgnoredFields has another process change each field that drift_ignore can name. Without
// an entry that is a difference. With it, it is none, a write for another reason keeps the live
// value, and a deployment that declares another value writes it.
func TestIgnoredFields(t *testing.T) {
	for _, name := range deploy.Ignorables() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := simulated()
				engine, stack := deploy.New(sim.Client(enginetest.Hooks{})), newStack("t")
				add(stack, "web", nil)
				rollout(t, engine, stack)
				foreign := foreignChanges[name]
				if err := sim.UpdateService(t.Context(), "t_web", foreign); err != nil {
					t.Fatal(err)
				}
				if plan := planFor(t, engine, stack); plan.Empty() {
					t.Fatal("without an entry there is no difference")
				}
				stack.Ignored = map[string][]compose.Ignored{"t_web": {{Field: name, Reason: "autoscaler"}}}
				plan := planFor(t, engine, stack)
				if !plan.Empty() || len(plan.Ignored) != 1 || len(plan.Ignored[0].Changes) == 0 {
					t.Errorf("with an entry: %+v, ignored %+v", plan.Steps, plan.Ignored)
				}
				before := sim.State().Services["t_web"].Spec
				stack.Services["t_web"].TaskTemplate.ContainerSpec.Labels["written"] = "1"
				rollout(t, engine, stack)
				after := sim.State().Services["t_web"].Spec
				if after.TaskTemplate.ContainerSpec.Labels["written"] != "1" {
					t.Error("the other change was not written")
				}
				delete(after.TaskTemplate.ContainerSpec.Labels, "written")
				for _, change := range deploy.ServiceChanges(before, after) {
					t.Errorf("written as well: %+v", change)
				}
				other := newStack("t")
				add(other, "web", foreign)
				if kept := deploy.IgnoreUnchanged(stack, other, nil); len(kept.Ignored) != 0 && name != "image" {
					t.Errorf("another declared value is ignored: %v", kept.Ignored)
				}
				if kept := deploy.IgnoreUnchanged(stack, stack, nil); len(kept.Ignored) != 1 {
					t.Error("the same declared value is not ignored")
				}
				for _, step := range []deploy.Step{{Action: deploy.Update, Changes: plan.Ignored[0].Changes}, {Action: deploy.Create}} {
					step.Kind, step.Name = deploy.Service, "t_web"
					if kept := deploy.IgnoreUnchanged(stack, stack, []deploy.RecordedPlan{{Steps: []deploy.Step{step}}}); len(kept.Ignored) != 0 {
						t.Errorf("what an unverified plan wrote is ignored: %s", step.Action)
					}
				}
			})
		})
	}
}

// TestIgnoredReplicasOfOthers writes a service that was written since the plan was made, and a
// cron service, whose replicas the agent itself changes.
func TestIgnoredReplicasOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulated()
		engine, stack := deploy.New(sim.Client(enginetest.Hooks{})), smallStack("t")
		rollout(t, engine, stack)
		stack.Ignored = map[string][]compose.Ignored{}
		for name := range stack.Services {
			stack.Ignored[name] = []compose.Ignored{{Field: "replicas", Reason: "autoscaler"}}
		}
		setImage(stack, "api", image2)
		setImage(stack, "cron_service", image2)
		plan := planFor(t, engine, stack)
		if err := sim.UpdateService(t.Context(), "t_api", foreignChanges["replicas"]); err != nil {
			t.Fatal(err)
		}
		if err := engine.Apply(t.Context(), plan, stack, deploy.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
		got := map[string]uint64{}
		for name, service := range sim.State().Services {
			got[name] = *service.Spec.Mode.Replicated.Replicas
		}
		if diff := cmp.Diff(map[string]uint64{"t_api": 3, "t_cron_service": 1, "t_migrate": 1}, got); diff != "" {
			t.Error(diff)
		}
		if steps := slices.DeleteFunc(planFor(t, engine, stack).Steps, deploy.Step.LabelsOnly); len(steps) > 0 {
			t.Errorf("then: %+v", steps)
		}
	})
}
