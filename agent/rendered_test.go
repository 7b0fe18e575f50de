package agent_test

import (
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// TestRendered counts how often the files of the node are rendered: once for each commit that
// changes them, and never by looks without one, which compare with the recorded specs.
func TestRendered(t *testing.T) {
	inWorld(t, func(w *world) {
		renders := 0
		w.change = func(parts *agent.Parts) {
			parts.Render = func(node *manifests.Node, set *secrets.Set, options compose.Options) (*compose.Stack, error) {
				renders++
				return compose.Render(node, set, options)
			}
		}
		since := func(what string, want int) {
			t.Helper()
			if renders != want {
				t.Errorf("%s: rendered %d times, not %d", what, renders, want)
			}
			renders = 0
		}
		w.start()
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		since("the first rollout", 1)
		w.pass(10 * interval)
		since("looks without a change", 0)
		w.set(func() { w.live["s_web"] = swarm.ServiceSpec{Annotations: w.live["s_web"].Annotations} })
		w.pass(5 * interval)
		if status, err := w.agent.Status(record.OnlyStack); err != nil || len(status.Drift) != 1 {
			t.Errorf("drift %v, %v", status.Drift, err)
		}
		since("looks that see a drift", 0)
		w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		since("a commit of this node", 1)
	})
}
