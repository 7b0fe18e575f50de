package deploy_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

func TestDigest(t *testing.T) {
	build := func(password string) (*deploy.Live, *compose.Stack) {
		lives, wants := newStack("s"), newStack("s")
		add(lives, "a", nil)
		add(wants, "a", func(s *swarm.ServiceSpec) {
			s.TaskTemplate.ContainerSpec.Env = []string{"DB_PASSWORD=" + password}
		})
		return liveOf(lives), wants
	}
	plans := make([]deploy.Plan, 0, 3)
	for _, password := range []string{"one", "one", "two"} {
		live, want := build(password)
		plan, err := deploy.Diff(live, want)
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, plan)
	}
	if plans[0].Digest() != plans[1].Digest() {
		t.Error("equal plans have two digests")
	}
	if plans[0].Digest() == plans[2].Digest() {
		t.Error("a masked difference does not show in the digest")
	}
	text, err := json.Marshal(plans[2])
	if err != nil {
		t.Fatal(err)
	}
	var read deploy.RecordedPlan
	if err := json.Unmarshal(text, &read); err != nil || read.Digest() != plans[2].Digest() {
		t.Errorf("read back from JSON: %v", err)
	}
	if err := json.Unmarshal(text, &plans[2]); err == nil {
		t.Error("a plan to apply can be read from JSON")
	}
	_, want := build("two")
	recorded := deploy.Plan{Stack: read.Stack, Steps: read.Steps}
	if err := connect(t, "unix:///nowhere").Apply(t.Context(), recorded, want, deploy.ApplyOptions{}); err == nil || !strings.Contains(err.Error(), "Diff did not make it") {
		t.Errorf("a recorded plan is applied: %v", err)
	}
}

// TestDigestOfOrder makes one plan fifty times, with another order of maps and of lists
// without order each time.
func TestDigestOfOrder(t *testing.T) {
	once := func(turn int) string {
		lives, wants := newStack("s"), newStack("s")
		for i := range 10 {
			name := fmt.Sprintf("service%d", (i+turn)%10)
			add(lives, name, func(s *swarm.ServiceSpec) {
				env := []string{"A=1", "B=2", "C=3", "D=4"}
				s.TaskTemplate.ContainerSpec.Env = slices.Concat(env[turn%4:], env[:turn%4])
			})
			add(wants, name, func(s *swarm.ServiceSpec) {
				s.TaskTemplate.ContainerSpec.Env = []string{"A=2", "C=4"}
				s.TaskTemplate.ContainerSpec.Sysctls = map[string]string{"a": "1", "b": "2", "c": "3"}
				for i := range 10 {
					s.Labels[fmt.Sprintf("label%d", (i+turn)%10)] = "x"
				}
			})
			add(lives, fmt.Sprintf("gone%d", i), nil)
			addSecret(wants, fmt.Sprintf("key%d", i), "1", "x")
		}
		live := liveOf(lives)
		for name, service := range live.Services { // the number of running tasks is not part of the plan
			service.ServiceStatus = &swarm.ServiceStatus{RunningTasks: uint64(turn), DesiredTasks: uint64(turn)} //nolint:gosec // not negative
			live.Services[name] = service
		}
		plan, err := deploy.Diff(live, wants)
		if err != nil {
			t.Fatal(err)
		}
		return plan.Digest()
	}
	first := once(0)
	for turn := range 50 {
		if again := once(turn); again != first {
			t.Fatalf("turn %d: %s, first %s", turn, again, first)
		}
	}
}
