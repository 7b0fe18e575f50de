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

// backFrom plans the way back from a live stack, and gives its steps.
func backFrom(t *testing.T, lives, before *compose.Stack, only ...string) (deploy.Back, []string) {
	t.Helper()
	live := liveOf(lives)
	back := deploy.Backwards(&live.LiveServices, before, only)
	plan, err := deploy.Diff(live, back.Stack)
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, step := range plan.Steps {
		steps = append(steps, string(step.Action)+" "+step.Name)
	}
	return back, steps
}

// A job is never run again: it stays as it is, is not made, and is not followed.
func TestBackwardsLeavesJobs(t *testing.T) {
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
	back, steps := backFrom(t, lives, before)
	if diff := cmp.Diff([]string{"create s_gone", "update s_web", "remove s_extra"}, steps); diff != "" {
		t.Errorf("steps: %s", diff)
	}
	if diff := cmp.Diff([]string{"s_import", "s_migrate", "s_test_setup"}, back.Left); diff != "" {
		t.Errorf("left: %s", diff)
	}
	if _, there := back.Follow.Services["s_migrate"]; there || len(back.Follow.Services) != 2 {
		t.Errorf("followed: %v", back.Follow.Services)
	}
}

// Of one service all others stay, whatever they are; its networks alone are made.
func TestBackwardsOfOneService(t *testing.T) {
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
	back, steps := backFrom(t, lives, before, "s_web")
	if diff := cmp.Diff([]string{"create s_old", "update s_web"}, steps); diff != "" {
		t.Errorf("steps: %s", diff)
	}
	if len(back.Left) > 0 || len(back.Follow.Services) != 3 || len(back.Stack.ExternalSecrets) > 0 {
		t.Errorf("left %v, followed %d, secrets %v", back.Left, len(back.Follow.Services), back.Stack.ExternalSecrets)
	}
}
