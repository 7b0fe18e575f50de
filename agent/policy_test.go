package agent_test

import (
	"context"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/policy"
)

const (
	plainWeb   = "services: {web: {image: \"app:$TAG\"}}\n"
	capableWeb = "services:\n  web:\n    image: \"app:$TAG\"\n    cap_add: [NET_ADMIN]\n"

	addsIt = "service web adds the capability NET_ADMIN: policy.capabilities does not allow it"
)

// under gives the agent a policy that the test changes, as SIGHUP does.
func (w *world) under(rules *policy.Policy) *policy.Current {
	current := policy.NewCurrent(rules)
	w.change = func(p *agent.Parts) { p.Policy = current }
	return current
}

var strict = &policy.Policy{Strict: true}

// TestPolicyHoldsACommit refuses a commit before its plan: it is held, a later commit that
// changes nothing is refused too, and a policy that allows it lets a retry pass.
func TestPolicyHoldsACommit(t *testing.T) {
	inWorld(t, func(w *world) {
		current := w.under(strict)
		w.start()
		first := w.wantLast(w.revision.Commit, record.Succeeded)
		commit := w.release("2", nodeDir+"docker-compose.yml", capableWeb)
		w.poll()
		sync := w.wantLast(commit, record.Failed)
		if sync.Stage != record.StagePolicy || sync.Wrote || sync.Transient || sync.Error != nodeDir+"docker-compose.yml:4: "+addsIt || !strings.Contains(sync.Hint, "policy.capabilities.web") {
			t.Errorf("refused as %+v", sync)
		}
		if w.plans() != 1 {
			t.Errorf("%d plans were applied", w.plans())
		}
		w.runs("1")
		w.poll()
		if last := w.last(); last.ID != sync.ID {
			t.Errorf("it is tried again: %+v", last)
		}
		later := w.commit("3", "README.md", "x")
		w.poll()
		if sync := w.wantLast(later, record.Failed); sync.Stage != record.StagePolicy || sync.Unchanged {
			t.Errorf("the next commit: %+v", sync)
		}
		if status := w.desk.Status(); status.Policy == nil || !status.Policy.Rules.Strict || status.Applied.Commit != first.Commit {
			t.Errorf("status: %+v", status)
		}
		current.Reload(&policy.Policy{Strict: true, Capabilities: policy.PerService{"web": {"NET_ADMIN"}}}, nil)
		if _, err := w.desk.Retry(w.t.Context(), person, request.Retry{}, func(string) {}); err != nil {
			t.Fatal(err)
		}
		w.wantLast(later, record.Succeeded)
		w.runs("2")
	})
}

// TestPolicyRefusesRollbacks narrows the policy: neither a user nor the agent rolls back to a
// good state that it does not allow.
func TestPolicyRefusesRollbacks(t *testing.T) {
	inWorld(t, func(w *world) {
		current := w.under(nil)
		w.release("1", configFile, automatic, nodeDir+"docker-compose.yml", capableWeb)
		w.start()
		w.release("2", nodeDir+"docker-compose.yml", plainWeb)
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		if status := w.desk.Status(); status.Policy == nil || status.Policy.Rules != nil {
			t.Errorf("the policy without one: %+v", status.Policy)
		}

		current.Reload(strict, nil)
		applied := w.plans()
		if _, err := w.goBack(request.Rollback{}); err == nil || err.Error() != "the good state of sync #1: "+addsIt {
			t.Errorf("got %v", err)
		}
		current.Reload(nil, nil)
		w.wentBack(request.Rollback{})
		w.runs("1")

		current.Reload(strict, nil)
		w.breaks("3")
		bad := w.release("3")
		w.poll()
		sync := w.wantLast(bad, record.Failed)
		if taken := sync.Rollback; taken == nil || !strings.Contains(taken.Refused, addsIt) || !strings.Contains(taken.Hint, "agent history") {
			t.Errorf("the automatic rollback: %+v", taken)
		}
		if w.plans() != applied+2 {
			t.Errorf("%d plans were applied since", w.plans()-applied)
		}
	})
}

// TestPolicyBoundsAnInterruptedRollout has the agent start again in the middle of a rollout,
// with a narrower policy: nothing more is written.
func TestPolicyBoundsAnInterruptedRollout(t *testing.T) {
	inWorld(t, func(w *world) {
		w.under(nil)
		w.start()
		w.set(func() { w.onApply = func(ctx context.Context) { <-ctx.Done() } })
		commit := w.release("2", nodeDir+"docker-compose.yml", capableWeb)
		w.poll()
		w.wantLast(commit, record.Running)
		w.halt()
		w.onApply = nil
		applied := w.plans()
		w.under(strict)
		w.start()
		if sync := w.wantLast(commit, record.Failed); sync.Stage != record.StagePolicy || !sync.Wrote || w.plans() != applied {
			t.Errorf("%d plans since, %+v", w.plans()-applied, sync)
		}
	})
}
