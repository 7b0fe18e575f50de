package agent_test

import (
	"sync/atomic"
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

// TestStateWrites counts the transactions of the state file, each of which waits for the disk: that
// the revision is read, that the sync begins, that the revision has passed, and before the first
// write, the wait for services and the end of the sync.
func TestStateWrites(t *testing.T) {
	inWorld(t, func(w *world) {
		var writes atomic.Int64
		w.change = func(*agent.Parts) {
			w.store.Around = func(write func() error) error {
				writes.Add(1)
				return write()
			}
		}
		since := func(what string, want int64) {
			t.Helper()
			if got := writes.Swap(0); got != want {
				t.Errorf("%s: %d transactions, not %d", what, got, want)
			}
		}
		w.start()
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		writes.Store(0)
		w.pass(10 * interval)
		since("looks without a change", 0)
		w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		since("a commit of this node", 6)
	})
}

// TestHistoryOfSeveralStacks counts the questions about the history, each of which is a request to
// git: stacks that were at the same commit share one.
func TestHistoryOfSeveralStacks(t *testing.T) {
	inWorld(t, func(w *world) {
		var asked atomic.Int64
		w.older = func(string, string) bool {
			asked.Add(1)
			return true
		}
		first := threeStacks(w)
		w.pass(10 * interval)
		w.lastOf("business", first, record.Succeeded)
		asked.Store(0)
		path, content := w.edit("business", "web", "app:2")
		second := w.commit("second", path, content)
		w.pass(4 * interval)
		for _, key := range []record.StackKey{"system", "platform", "business"} {
			w.lastOf(key, second, record.Succeeded)
		}
		if got := asked.Load(); got != 1 {
			t.Errorf("the remote was asked %d times how the commits relate, not once", got)
		}
	})
}
