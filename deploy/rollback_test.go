package deploy_test

import (
	"slices"
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
	rollback := deploy.RollbackTo(live.Services, before, newStack(before.Name), only)
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

// TestRollbackOfOneServiceKeepsIgnored: a service or job that is not rolled back declares in its
// ignored fields what the deployed stack does, not what another process has set.
func TestRollbackOfOneServiceKeepsIgnored(t *testing.T) {
	lives, before, deployed := newStack("s"), newStack("s"), newStack("s")
	for _, name := range []string{"web", "worker", "migrate"} {
		kind := func(*swarm.ServiceSpec) {}
		if name == "migrate" {
			kind = once(image1)
		}
		add(before, name, kind)
		add(deployed, name, kind)
		add(lives, name, func(s *swarm.ServiceSpec) { kind(s); newer(s); s.TaskTemplate.ContainerSpec.Env = []string{"LIVE=1"} })
	}
	before.Ignored = map[string][]compose.Ignored{"s_web": {{Field: "labels"}}, "s_worker": {{Field: "labels"}}}
	deployed.Ignored = map[string][]compose.Ignored{"s_worker": {{Field: "image"}}, "s_migrate": {{Field: "image"}}}
	live := liveOf(lives)
	rollback := deploy.RollbackTo(live.Services, before, deployed, []string{"s_web"})
	plan, err := deploy.Diff(live, rollback.Stack)
	if err != nil || len(plan.Steps) != 1 || plan.Steps[0].Name != "s_web" {
		t.Errorf("plan %+v, %v", plan.Steps, err)
	}
	for name, field := range map[string]string{"s_web": "labels", "s_worker": "image", "s_migrate": "image"} {
		rules, spec := rollback.Stack.Ignored[name], rollback.Stack.Services[name].TaskTemplate.ContainerSpec
		if len(rules) != 1 || rules[0].Field != field || spec.Image != image1 || slices.Contains(spec.Env, "LIVE=1") != (name != "s_web") {
			t.Errorf("%s ignores %+v and declares %s %v", name, rules, spec.Image, spec.Env)
		}
	}
	if diff := cmp.Diff([]string{"s_migrate", "s_worker"}, rollback.Kept); diff != "" {
		t.Error(diff)
	}
}
