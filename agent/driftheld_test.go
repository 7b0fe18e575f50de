package agent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

// While a revision is held that wrote nothing, drift from the deployed good state is seen,
// and corrected where config.yml says so.
func TestDriftWhileHeld(t *testing.T) {
	for mode, corrected := range map[string]bool{"report": false, "correct": true} {
		t.Run(mode, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.commit("1", configFile, string(w.files[configFile].Data)+"drift: "+mode+"\n")
				w.start()
				bad := w.commit("2", nodeDir+"node.env", "")
				w.poll()
				w.wantLast(bad, record.Failed)
				w.set(func() { w.live = map[string]swarm.ServiceSpec{} })
				w.poll()
				status := w.desk.Status()
				if corrected != (len(status.Drift) == 0) || status.InSync {
					t.Errorf("drift %v, in sync %t", status.Drift, status.InSync)
				}
				if corrected {
					w.runs("1")
					last := w.wantLast(bad, record.RolledBack)
					if after := last.Rollback.After; !last.Held() || after == nil || after.Stage != record.StageRender || after.Error == "" {
						t.Errorf("recorded as %+v", last.Rollback)
					}
				}
				w.told(bad, gitlab.Failed)
				n := w.plans()
				for range 3 {
					w.poll()
				}
				if w.plans() != n {
					t.Errorf("%d more plans were applied", w.plans()-n)
				}
				next := w.commit("3", nodeDir+"node.env", "TAG=3\n")
				w.poll()
				w.wantLast(next, record.Succeeded)
			})
		})
	}
}

// The correction of a drift while the stack is pinned tells GitLab nothing: the commit has
// its outcome. The cause of that stays on record.
func TestDriftWhilePinned(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic+"drift: correct\n")
		w.start()
		w.breaks("2")
		bad := w.release("2")
		w.poll()
		first := w.wantLast(bad, record.RolledBack)
		w.told(bad, gitlab.Pending, gitlab.Running, gitlab.Failed)
		for range 2 {
			w.set(func() { w.live = map[string]swarm.ServiceSpec{} })
			w.poll()
			w.runs("1")
		}
		last := w.wantLast(bad, record.RolledBack)
		if after := last.Rollback.After; last.ID != first.ID+2 || after == nil || after.Error != first.Error || after.Stage != record.StageVerify {
			t.Errorf("recorded as %+v", last.Rollback)
		}
		w.told(bad, gitlab.Pending, gitlab.Running, gitlab.Failed)
	})
}

// The correction of a drift by a sync of the commit shows its progress in GitLab. When it
// fails and is rolled back, GitLab shows that, too: the commit does not stay running.
func TestDriftCorrectionIsRolledBack(t *testing.T) {
	inWorld(t, func(w *world) {
		commit := w.release("1", configFile, automatic+"drift: correct\n")
		w.start()
		w.wantLast(commit, record.Succeeded)
		w.set(func() {
			w.live = map[string]swarm.ServiceSpec{}
			w.onVerify = func() {
				w.result = deploy.Result{Services: []deploy.ServiceResult{{Name: "s_app", State: deploy.Failed, Message: "the task failed"}}}
				w.onVerify = func() { w.result = deploy.Result{} }
			}
		})
		w.poll()
		last := w.wantLast(commit, record.RolledBack)
		if last.Trigger != record.OnDrift || !last.Wrote || last.Rollback == nil {
			t.Errorf("recorded as %+v", last)
		}
		w.toldInOrder(commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Pending, gitlab.Running, gitlab.Failed)
	})
}

// A remote that answers with an older commit of the same history, such as a replica that
// lags, changes nothing here, and GitLab is told nothing; a user may still ask for it.
func TestRefsThatLagBehind(t *testing.T) {
	for _, rewrite := range []bool{false, true} {
		inWorld(t, func(w *world) {
			w.allow = rewrite
			w.start()
			older := w.revision
			newer := w.commit("2", nodeDir+"node.env", "TAG=2\n")
			w.poll()
			w.wantLast(newer, record.Succeeded)
			told := len(w.states(older.Commit))
			w.set(func() {
				w.revision = older
				w.older = func(old, revision string) bool { return old == older.Commit && revision == newer }
			})
			for range 3 {
				w.poll()
			}
			w.wantLast(newer, record.Succeeded)
			w.runs("2")
			if len(w.states(older.Commit)) != told {
				t.Errorf("GitLab was told of the older commit: %v", w.states(older.Commit))
			}
			if status := w.desk.Status(); status.PollError != "" {
				t.Errorf("the look failed: %s", status.PollError)
			}
			w.set(func() { w.live = map[string]swarm.ServiceSpec{} })
			w.poll()
			if status := w.desk.Status(); len(status.Drift) != 1 {
				t.Errorf("drift is %v", status.Drift)
			}
		})
	}
}

// A commit that cannot begin for a reason outside of it has one entry in GitLab, which ends
// with the outcome.
func TestTransientFailureIsOneEntry(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.set(func() { w.engineErr = deploy.ErrUnavailable })
		commit := w.release("2")
		w.pass(time.Hour)
		if failed := w.wantLast(commit, record.Failed); !failed.Transient || failed.Wrote || failed.Retries < 3 {
			t.Errorf("recorded as %+v", failed)
		}
		w.told(commit, gitlab.Pending)
		w.set(func() { w.engineErr = nil })
		w.pass(time.Hour)
		w.wantLast(commit, record.Succeeded)
		w.toldInOrder(commit, gitlab.Pending, gitlab.Running, gitlab.Success)
	})
}

// A commit that follows one which wrote and then failed transiently supersedes it: GitLab
// does not show that one as running for ever.
func TestTransientFailureIsSuperseded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.set(func() { w.onVerify = func() { w.engineErr = deploy.ErrUnavailable } })
		first := w.release("2")
		w.poll()
		if failed := w.wantLast(first, record.Failed); !failed.Transient || !failed.Wrote || failed.Retries >= 3 {
			t.Fatalf("recorded as %+v", failed)
		}
		w.told(first, gitlab.Pending, gitlab.Running)
		second := w.release("3")
		w.set(func() { w.onVerify, w.engineErr = nil, nil })
		w.pass(time.Hour)
		w.wantLast(second, record.Succeeded)
		w.told(first, gitlab.Pending, gitlab.Running, gitlab.Canceled)
	})
}

// `agent retry` tries a transient failure again at once.
func TestRetryOfTransientFailure(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.set(func() { w.engineErr = deploy.ErrUnavailable })
		commit := w.release("2")
		w.pass(time.Hour)
		w.wantLast(commit, record.Failed)
		w.set(func() { w.engineErr = nil })
		sync, err := w.desk.Retry(w.t.Context(), person, request.Retry{}, func(string) {})
		if err != nil || sync.State != record.Succeeded || strings.Contains(sync.Error, "engine") {
			t.Errorf("got %+v, %v", sync, err)
		}
	})
}
