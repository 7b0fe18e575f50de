package agent_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
	"coin.internal/coin-agent/secrets"
)

// TestReloadWhileJudging replaces the policy between the judgement and its record: the refusal
// counts as one by the policy before, and the one in force judges again.
func TestReloadWhileJudging(t *testing.T) {
	bound := &policy.Policy{Checks: &policy.Checks{Credentials: policy.PerService{"harbor.token": {"evil.example"}}}}
	inWorld(t, func(w *world) {
		current, renders := policy.NewCurrent(nil), atomic.Int64{}
		w.change = func(p *agent.Parts) {
			p.Policy, p.Settings.Limits = current, limits.Default()
			p.Render = func(node *manifests.Node, set *secrets.Set, options compose.Options) (*compose.Stack, error) {
				if renders.Add(1) == 2 {
					current.Reload(bound, nil)
				}
				return compose.Render(node, set, options)
			}
		}
		w.start()
		bad := w.release("2", configFile, authorsCheck)
		w.poll()
		first := w.wantLast(bad, record.Failed)
		if !strings.Contains(first.Error, "must not go to evil.example") {
			t.Fatalf("refused by %q", first.Error)
		}
		w.poll()
		if sync := w.last(); sync.ID == first.ID || strings.Contains(sync.Error, "must not go") {
			t.Errorf("the policy in force does not judge: #%d %s: %s", sync.ID, sync.State, sync.Error)
		}
	})
}
