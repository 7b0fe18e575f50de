package agent_test

import (
	"context"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// alone asks for a rollback in a process without a loop, and ends that process.
func (w *world) alone(asked request.Rollback) (sync *record.Sync, err error) {
	w.t.Helper()
	w.open()
	w.stop = func() {}
	failed := agent.Alone(w.t.Context(), w.agent, func(ctx context.Context) error {
		plan, err := w.desk.PlanRollback(ctx, person, asked)
		if err != nil {
			return err
		}
		asked.Digest = plan.Digest
		sync, err = w.goBack(asked)
		return err
	})
	w.halt()
	return sync, failed
}

// A rollback without the daemon is the one that the daemon does: with its refusals, its status and
// its pin. Nothing else is done, though a newer commit waits.
func TestRollbackAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1")
		w.start()
		second := w.release("2")
		w.poll()
		w.wantLast(second, record.Succeeded)
		w.halt()
		w.release("3")
		if _, err := w.alone(request.Rollback{To: 77}); err == nil || !strings.Contains(err.Error(), "#77 is not a recorded good state") {
			t.Errorf("got %v", err)
		}
		w.runs("2")
		sync, err := w.alone(request.Rollback{Reason: "it is slow"})
		if err != nil || sync.State != record.RolledBack || sync.Commit != second || sync.Actor != person || sync.Rollback.Reason != "it is slow" {
			t.Fatalf("%+v, %v", sync, err)
		}
		w.runs("1")
		w.told(second, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed)
		w.commit("2") // the newer one is reverted
		w.start()
		w.poll()
		w.runs("1")
		if status := w.desk.Status(); status.Pinned == nil || status.Pinned.To != 1 {
			t.Errorf("pinned %+v", status.Pinned)
		}
		third := w.release("3")
		w.poll()
		w.wantLast(third, record.Succeeded)
	})
}

// A rollout that a kill has cut off is rolled back as well, and not continued.
func TestRollbackAloneAfterAKill(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1")
		w.start()
		w.breaks("2")
		w.sticks("app:2")
		second := w.release("2")
		w.poll()
		w.wantLast(second, record.Running)
		w.halt()
		w.runs("2")
		sync, err := w.alone(request.Rollback{})
		if err != nil || sync.State != record.RolledBack || sync.Rollback.To != 1 {
			t.Fatalf("%+v, %v", sync, err)
		}
		w.runs("1")
		w.start()
		w.poll()
		w.runs("1")
		if last := w.last(); last.State != record.RolledBack || last.Commit != second {
			t.Errorf("%+v", last)
		}
	})
}
