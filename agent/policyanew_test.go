package agent_test

import (
	"context"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/record"
)

// TestRolledBackRefusalIsJudgedAnew has the policy refuse a commit that supersedes one which had
// written, so that the agent rolls back: other rules judge the commit again, and a later one that
// changes nothing is judged itself. So it is after a correction of drift.
func TestRolledBackRefusalIsJudgedAnew(t *testing.T) {
	for name, drifts := range map[string]bool{"at once": false, "after a correction": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				current := w.under(strict)
				w.release("1", configFile, automatic+"drift: correct\n")
				w.start()
				w.set(func() { w.onApply = func(ctx context.Context) { <-ctx.Done() } })
				w.release("2")
				w.poll()
				w.wantLast(w.revision.Commit, record.Running)
				w.halt()
				w.onApply = nil
				w.release("3", nodeDir+"docker-compose.yml", capableWeb)
				w.start()
				w.wantLast(w.revision.Commit, record.RolledBack)
				later := w.commit("4", "README.md", "x")
				w.poll()
				if sync := w.last(); sync.Commit != later || sync.Unchanged || !sync.Held() {
					t.Errorf("the next commit: %+v", sync)
				}
				if drifts {
					w.set(func() { w.live = map[string]swarm.ServiceSpec{} })
					w.poll()
					w.runs("1")
				}
				held := w.last()
				w.poll()
				if now := w.last(); now.ID != held.ID {
					t.Errorf("the same rules judge again, in #%d", now.ID)
				}
				current.Reload(nil, nil)
				w.poll()
				w.wantLast(later, record.Succeeded)
				w.runs("3")
			})
		})
	}
}
