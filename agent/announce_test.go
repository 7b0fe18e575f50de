package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
)

// says demands texts in the only mail since the last time, and forgets it.
func (m *mailbox) says(t *testing.T, texts ...string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.mails) != 1 {
		t.Fatalf("%d mails, want 1: %+v", len(m.mails), m.mails)
	}
	for _, want := range texts {
		if said := m.mails[0].Title + "\n" + m.mails[0].Text; !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
	m.mails = nil
}

const backAutomatically = "deployment: {rollback: {automatic: true}}\n"

// TestRollbackIsTold goes back by itself: what failed, where the node is now, and
// what to do stand in one message.
func TestRollbackIsTold(t *testing.T) {
	for name, on := range map[string]string{"by default": "", "as a failure": ", on: [failure]", "as a rollback": ", on: [rollback]"} {
		t.Run(name, func(t *testing.T) {
			inMailWorld(t, backAutomatically+"notifications: {email: [ops@example.com]"+on+"}\n", func(w *world, box *mailbox) {
				w.start()
				w.breaks("2")
				bad := w.release("2")
				w.poll()
				w.wantLast(bad, record.RolledBack)
				w.pass(time.Hour)
				box.says(t, "rollout failed at verify and was rolled back, release 2", "service s_web: it is broken",
					"rolled back to 1 (sync #1)", "Next: fix or revert the release by a merge; `agent resume`", "`agent show 2 -o report`")
				if on == "" {
					w.release("3")
					w.poll()
					w.pass(time.Hour)
					box.wants(t, "recovered: rolled out, release 3")
				}
			})
		})
	}
}

// TestRollbackByHandIsTold tells who went back, and why: no failure, so nothing
// recovers from it.
func TestRollbackByHandIsTold(t *testing.T) {
	inMailWorld(t, toOps, func(w *world, box *mailbox) {
		w.start()
		w.release("2")
		w.poll()
		w.wentBack(request.Rollback{Reason: "orders fail"})
		w.pass(time.Hour)
		box.says(t, "rolled back by a user, release 2", "rolled back to 1 (sync #1) by local:ada: orders fail")
		w.release("3")
		w.poll()
		w.pass(time.Hour)
		box.wants(t)
	})
}

// TestNoWayBackIsTold fails on the first rollout, when there is nothing to go back
// to, and where what was put back is not well.
func TestNoWayBackIsTold(t *testing.T) {
	inMailWorld(t, backAutomatically+toOps, func(w *world, box *mailbox) {
		w.breaks("1")
		w.start()
		w.pass(time.Hour)
		box.says(t, "rollout failed at verify, and is not rolled back", "not rolled back: no good state is recorded yet", "Next: the revision is held; fix or revert it")
		told, err := report.Rollback(reported, w.last())
		if err != nil || !strings.Contains(told, "- **Last good version**: none is recorded\n") || strings.Contains(told, "--to 0") {
			t.Errorf("%v in %s", err, told)
		}
		w.breaks("")
		w.release("2")
		w.poll()
		w.pass(time.Hour)
		box.wants(t, "recovered: rolled out, release 2")
		w.breaks("2", "3")
		w.release("3")
		w.poll()
		w.pass(time.Hour)
		box.says(t, "rollout failed at verify, and the rollback is not verified", "rolled back to 2 (sync #2), but it is unhealthy: service s_web", "`agent show 3`")
		w.wantMetrics(`coin_agent_rollbacks_total{environment="sandbox",node="node3",result="failed"} 1`,
			`coin_agent_rollbacks_total{environment="sandbox",node="node3",result="refused"} 1`,
			`coin_agent_rollbacks_total{environment="sandbox",node="node3",result="done"} 0`)
	})
}

// TestRollbackThatWaitsIsTold has the engine go away on the way back: people hear of
// the failed rollout before it is there again, and once.
func TestRollbackThatWaitsIsTold(t *testing.T) {
	inMailWorld(t, backAutomatically+toOps, func(w *world, box *mailbox) {
		w.start()
		w.breaks("2")
		fails, tries := w.onVerify, 0
		w.set(func() {
			w.onVerify = func() {
				if fails(); w.live["s_web"].TaskTemplate.ContainerSpec.Image == "app:1" {
					tries++
					w.engineErr = fmt.Errorf("away, port %d", tries)
				}
			}
		})
		bad := w.release("2")
		w.poll()
		w.wantLast(bad, record.Running)
		for range 10 {
			w.pass(30 * time.Minute)
			w.set(func() { w.engineErr = nil }) // and away again with the next look
		}
		box.says(t, "rollout failed at verify, and the rollback has to wait, release 2", "service s_web: it is broken", "rollback to 1 (sync #1): away, port 1",
			"Next: nothing: it is tried again automatically; if it keeps failing, run `agent doctor`")
		w.set(func() { w.onVerify, w.engineErr = fails, nil })
		w.pass(time.Hour)
		w.wantLast(bad, record.RolledBack)
		box.wants(t, "rollout failed at verify and was rolled back, release 2")
	})
}
