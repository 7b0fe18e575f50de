package deploy_test

import (
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy"
)

// TestBackOfOneServiceFindsACronServiceAsleep plans the way back of another service
// when an interrupted one has left the cron service at 0.
func TestBackOfOneServiceFindsACronServiceAsleep(t *testing.T) {
	none, two := uint64(0), uint64(2)
	before, now := newStack("s"), newStack("s")
	scaled := func(n *uint64) func(*swarm.ServiceSpec) {
		return func(s *swarm.ServiceSpec) { s.Mode.Replicated = &swarm.ReplicatedService{Replicas: n} }
	}
	add(before, "web", nil)
	add(before, "x_cron", scaled(&two))
	add(now, "web", nil)
	add(now, "x_cron", scaled(&none))
	live := liveOf(now)

	back := deploy.Backwards(live.Awake(map[string]uint64{"s_x_cron": two, "s_gone": 1}), before, []string{"s_web"})
	if got := *back.Stack.Services["s_x_cron"].Mode.Replicated.Replicas; got != two {
		t.Errorf("the cron service is to stay at %d", got)
	}
	plan, err := deploy.Diff(live, back.Stack)
	if err != nil || len(plan.Steps) != 1 || plan.Steps[0].Name != "s_x_cron" || plan.Steps[0].Action != deploy.Update {
		t.Errorf("planned %v, %v", plan.Lines(), err)
	}
	if got := *live.Services["s_x_cron"].Spec.Mode.Replicated.Replicas; got != none {
		t.Errorf("the live state was changed to %d", got)
	}
}
