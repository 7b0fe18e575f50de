package agent_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// meddles has another process change the service during the next verify.
func (w *world) meddles() {
	w.set(func() {
		w.onVerify = func() {
			spec := w.live["s_web"]
			container := *spec.TaskTemplate.ContainerSpec // not the one that the agent wants
			container.Env = []string{"BY_HAND=1"}
			spec.TaskTemplate.ContainerSpec = &container
			w.live["s_web"] = spec
			w.onVerify = nil
		}
	})
}

// isGood reports whether the history marks the sync of a commit as good.
func (w *world) isGood(commit string) bool {
	w.t.Helper()
	history, err := w.store.History(10)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, sync := range history {
		if sync.Commit == commit && sync.Good {
			return true
		}
	}
	return false
}

// A service that another process changes during the rollout is a drift, and the state is
// not a good one: no rollback returns to it.
func TestChangedDuringRollout(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic)
		w.start()
		w.meddles()
		second := w.release("2")
		w.poll()
		last := w.wantLast(second, record.Succeeded)
		want := "not verified as a good state: another process changed it during the rollout: service s_web: env BY_HAND"
		if warnings := strings.Join(last.Warnings, "; "); !strings.Contains(warnings, want) {
			t.Errorf("warnings: %s", warnings)
		}
		if w.isGood(second) {
			t.Error("the history says good")
		}
		w.told(second, gitlab.Pending, gitlab.Running, gitlab.Success)
		if status := w.desk.Status(); len(status.Drift) != 1 || status.InSync {
			t.Errorf("drift %v, in sync %t", status.Drift, status.InSync)
		}
		if _, err := w.goBack(request.Rollback{To: last.ID}); err == nil || !strings.Contains(err.Error(), "is not a good state: another process changed it") {
			t.Errorf("a rollback to it: %v", err)
		}
		w.breaks("3")
		third := w.release("3")
		w.poll()
		w.wantLast(third, record.RolledBack)
		w.runs("1")
	})
}

// Once the drift is corrected, the state is a good one.
func TestChangedDuringRolloutAndCorrected(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic+"drift: correct\n")
		w.start()
		w.meddles()
		second := w.release("2")
		w.poll()
		w.wantLast(second, record.Succeeded)
		w.poll()
		if last := w.wantLast(second, record.Succeeded); last.Trigger != record.OnDrift || !w.desk.Status().InSync {
			t.Errorf("sync #%d by %s", last.ID, last.Trigger)
		}
		if !w.isGood(second) {
			t.Error("the history does not say good")
		}
	})
}

// A good state stays good when another process disturbs its next verification: a release that fails
// then is rolled back to it.
func TestChangedDuringTheNextVerification(t *testing.T) {
	for name, verified := range map[string]func(w *world){
		"by the correction of a drift": func(w *world) {
			w.meddles()
			w.onVerify() // the drift
			w.meddles()
			w.poll()
		},
		"by a user": func(w *world) {
			w.meddles()
			if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
				t.Error(err)
			}
		},
		"by a commit that changes no service": func(w *world) {
			w.meddles()
			w.commit("2b", configFile, baseConfig+"deployment: {rollback: {automatic: true}, health_check: {timeout: 7m}}\n")
			w.poll()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.release("1", configFile, automatic+"drift: correct\n")
				w.start()
				second := w.release("2")
				w.poll()
				before := w.wantLast(second, record.Succeeded).ID
				verified(w)
				warnings := strings.Join(w.last().Warnings, "; ")
				if unfit := w.desk.Status().Applied.Unfit; !w.isGood(second) || unfit != "" || w.last().ID == before || !strings.Contains(warnings, "BY_HAND") {
					t.Errorf("sync #%d warns %q; good %v, unfit %q", w.last().ID, warnings, w.isGood(second), unfit)
				}
				w.breaks("3")
				third := w.release("3")
				w.poll()
				w.wantLast(third, record.RolledBack)
				w.runs("2")
			})
		})
	}
}

// A service that is changed during a rollback is a drift as well.
func TestChangedDuringRollback(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic)
		w.start()
		second := w.release("2")
		w.poll()
		w.wantLast(second, record.Succeeded)
		w.meddles()
		back := w.wentBack(request.Rollback{})
		w.runs("1")
		if !w.isGood(second) || len(w.desk.Status().Drift) != 1 {
			t.Errorf("drift %v", w.desk.Status().Drift)
		}
		deployed, err := w.records.Deployed()
		if err != nil || deployed.Root() != back.Rollback.To || !strings.Contains(deployed.Unfit, "BY_HAND") {
			t.Errorf("deployed #%d, unfit: %q, %v", deployed.SyncID, deployed.Unfit, err)
		}
		w.breaks("3")
		third := w.release("3")
		w.poll()
		w.wantLast(third, record.RolledBack)
		w.runs("1") // not what the user left
	})
}
