package deploy_test

import (
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

func published(port uint32) func(*swarm.ServiceSpec) {
	return func(s *swarm.ServiceSpec) {
		s.EndpointSpec = &swarm.EndpointSpec{Ports: []swarm.PortConfig{{PublishedPort: port, TargetPort: 8080}}}
	}
}

func TestPortsAreReleasedFirst(t *testing.T) {
	lives, wants := newStack("s"), newStack("s")
	add(lives, "old", published(80))
	add(lives, "z", published(81))
	add(wants, "a", published(80))
	add(wants, "b", published(81))
	add(wants, "z", published(82))
	plan, err := deploy.Diff(liveOf(lives), wants)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"remove service old", "update service z", "create service a", "create service b"}
	if diff := cmp.Diff(want, lines(plan)); diff != "" {
		t.Error(diff)
	}
}

func TestLabelChangeKeepsCronServices(t *testing.T) {
	lives, wants := newStack("s"), newStack("s")
	foreign := func(s *swarm.ServiceSpec) { delete(s.Labels, compose.LabelOwner) }
	add(lives, "cron_service", foreign)
	add(lives, "web", foreign)
	add(wants, "cron_service", nil)
	add(wants, "web", nil)
	plan, err := deploy.Diff(liveOf(lives), wants)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"update service web", "update service cron_service"}, lines(plan)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"s_cron_service", "s_web"}, plan.Adopted); diff != "" {
		t.Error(diff)
	}
	for _, step := range plan.Steps {
		if step.Restarts || !step.LabelsOnly() {
			t.Errorf("%s restarts", step.Name)
		}
	}
}

func TestCronScalesUpAfterKill(t *testing.T) {
	lives, wants := newStack("s"), newStack("s")
	none := uint64(0)
	add(lives, "cron_service", func(s *swarm.ServiceSpec) { s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &none} })
	add(wants, "cron_service", nil)
	plan, err := deploy.Diff(liveOf(lives), wants)
	if err != nil || len(plan.Steps) != 1 || plan.Steps[0].Action != deploy.Update {
		t.Errorf("steps %+v, %v", plan.Steps, err)
	}
}

func TestModeChangeReplaces(t *testing.T) {
	lives, wants := newStack("s"), newStack("s")
	add(lives, "a", nil)
	add(wants, "a", func(s *swarm.ServiceSpec) { s.Mode.Global = &swarm.GlobalService{} })
	plan, err := deploy.Diff(liveOf(lives), wants)
	if err != nil || len(plan.Steps) != 1 || plan.Steps[0].Action != deploy.Replace {
		t.Errorf("steps %+v, %v", plan.Steps, err)
	}
}
