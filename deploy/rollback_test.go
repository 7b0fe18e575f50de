package deploy_test

import (
	"testing"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

func once(image string) func(*swarm.ServiceSpec) {
	return func(s *swarm.ServiceSpec) {
		s.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone}
		s.TaskTemplate.ContainerSpec.Image = image
	}
}

func job(image string) func(*swarm.ServiceSpec) {
	return func(s *swarm.ServiceSpec) {
		s.Mode = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{}}
		s.TaskTemplate.ContainerSpec.Image = image
	}
}

func newer(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = image2 }

// planRollback plans the rollback of a live stack, and gives its steps.
func planRollback(t *testing.T, lives, before *compose.Stack, only ...string) (deploy.Rollback, []string) {
	t.Helper()
	live := liveOf(lives)
	rollback := deploy.RollbackTo(live.Services, before, only)
	plan, err := deploy.Diff(live, rollback.Stack)
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, step := range plan.Steps {
		steps = append(steps, string(step.Action)+" "+step.Name)
	}
	return rollback, steps
}

// TestRollbackDoesNotRunJobs: a job stays as it is, is not created, and is not verified.
func TestRollbackDoesNotRunJobs(t *testing.T) {
	lives, before := newStack("s"), newStack("s")
	add(before, "web", nil)
	add(before, "migrate", once(image1))
	add(before, "import", job(image1))
	add(before, "test_setup", once(image1))
	add(before, "gone", nil)
	add(lives, "web", newer)
	add(lives, "migrate", once(image2))
	add(lives, "import", job(image2))
	add(lives, "extra", nil)
	rollback, steps := planRollback(t, lives, before)
	if diff := cmp.Diff([]string{"create s_gone", "update s_web", "remove s_extra"}, steps); diff != "" {
		t.Errorf("steps: %s", diff)
	}
	if diff := cmp.Diff([]string{"s_import", "s_migrate", "s_test_setup"}, rollback.Left); diff != "" {
		t.Errorf("left: %s", diff)
	}
	if _, there := rollback.Verify.Services["s_migrate"]; there || len(rollback.Verify.Services) != 2 {
		t.Errorf("verified: %v", rollback.Verify.Services)
	}
}

// TestRollbackOfOneService: all other services stay as they are, and only the
// networks of the one are created.
func TestRollbackOfOneService(t *testing.T) {
	lives, before := newStack("s"), newStack("s")
	before.Networks["s_old"] = network.CreateOptions{Driver: "overlay", Labels: ownLabels("s")}
	before.Networks["s_other"] = network.CreateOptions{Driver: "overlay", Labels: ownLabels("s")}
	add(before, "web", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.Networks = append(s.TaskTemplate.Networks, swarm.NetworkAttachmentConfig{Target: "s_old"})
	})
	add(before, "worker", nil)
	before.ExternalSecrets = []string{"of_another"}
	add(lives, "web", newer)
	add(lives, "worker", newer)
	add(lives, "extra", newer)
	rollback, steps := planRollback(t, lives, before, "s_web")
	if diff := cmp.Diff([]string{"create s_old", "update s_web"}, steps); diff != "" {
		t.Errorf("steps: %s", diff)
	}
	if len(rollback.Left) > 0 || len(rollback.Verify.Services) != 3 || len(rollback.Stack.ExternalSecrets) > 0 {
		t.Errorf("left %v, verified %d, secrets %v", rollback.Left, len(rollback.Verify.Services), rollback.Stack.ExternalSecrets)
	}
}
