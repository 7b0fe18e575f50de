package simulation_test

import (
	"os"
	"testing"
	"testing/synctest"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/request"
)

// TestIgnoredReplicas has an autoscaler change the replicas of web, which drift_ignore names:
// that is not drift, and a sync, a rollback and a correction of other drift keep its value. A
// commit that declares another number writes it, and the rollback of that commit writes the
// old one.
func TestIgnoredReplicas(t *testing.T) {
	wants := release{about: "first", tag: "g0", replicas: 1, secret: 1, automatic: true, correct: true, ignores: true}
	inWorldOf(t, newFixture(t), wants, func(t *testing.T, w *world) {
		t.Helper()
		roll := func(about string, want uint64, change func()) {
			t.Helper()
			wants.about = about
			change()
			w.push(wants)
			w.settle()
			w.check()
			if got := w.replicas(); got != want {
				t.Errorf("%s: %d replicas, want %d", about, got, want)
			}
		}
		scale := func(count uint64) {
			t.Helper()
			w.meddle("s_web", "the autoscaler", func(spec *swarm.ServiceSpec) { spec.Mode.Replicated.Replicas = &count })
			w.settle()
			w.check()
			if drift := w.process.parts.look().drift; len(drift) > 0 {
				t.Errorf("scaled to %d: drift %v", count, drift)
			}
		}
		scale(3)
		roll("another field of web", 3, func() { wants.tag = "g1" })
		w.meddle("s_web", "environment", func(spec *swarm.ServiceSpec) { spec.TaskTemplate.ContainerSpec.Env = nil })
		w.settle()
		w.check()
		scale(4)
		roll("a release that is rolled back", 4, func() { wants.tag, wants.trouble = "crashes2", crashes })
		roll("the number", 2, func() { wants.tag, wants.trouble, wants.replicas = "g3", sound, 2 })
		scale(5)
		roll("the number, and it is rolled back", 2, func() { wants.tag, wants.trouble, wants.replicas = "crashes4", crashes, 6 })
		scale(3)
		roll("without drift_ignore", 2, func() { wants.tag, wants.trouble, wants.replicas, wants.ignores = "g5", sound, 2, false })
	})
}

// TestIgnoredReplicasOfFailures has a release fail after it wrote the ignored replicas of web:
// whatever comes between that and the next good state, the declared number is written.
func TestIgnoredReplicasOfFailures(t *testing.T) {
	shared := newFixture(t)
	for name, next := range map[string]func(w *world, wants release){
		"it is rolled back": func(w *world, _ release) { w.ask("rollback") },
		"the agent is killed in its rollback": func(w *world, _ release) {
			w.plan = &kill{after: 1, at: "ServiceUpdate s_web"}
			w.ask("rollback")
		},
		"the revert waits": func(w *world, wants release) {
			wants.trouble, wants.replicas, wants.tag, wants.approval = sound, 2, "g2", true
			w.push(wants)
			w.settle()
			w.check()
			w.ask("approve")
		},
		"the revert cannot be read": func(w *world, wants release) {
			wants.trouble, wants.replicas, wants.tag = malformed, 2, "g2"
			w.push(wants)
			w.settle()
			wants.trouble = sound
			w.push(wants)
		},
	} {
		t.Run(name, func(t *testing.T) {
			wants := release{about: "first", tag: "g0", replicas: 2, secret: 1, ignores: true}
			inWorldOf(t, shared, wants, func(t *testing.T, w *world) {
				t.Helper()
				wants.tag, wants.trouble, wants.replicas = "unproved1", unproved, 6
				w.push(wants)
				w.settle()
				w.check()
				next(w, wants)
				w.pass(interval)
				w.settle()
				w.check()
				if got := w.replicas(); got != 2 {
					t.Errorf("%d replicas, want 2", got)
				}
			})
		})
	}
}

// TestIgnoredReplicasOfOthers rolls back another service than the one that an autoscaler scales:
// the next commit keeps the autoscaler's number.
func TestIgnoredReplicasOfOthers(t *testing.T) {
	wants := release{about: "first", tag: "g0", replicas: 2, secret: 1, ignores: true}
	inWorldOf(t, newFixture(t), wants, func(t *testing.T, w *world) {
		t.Helper()
		wants.level = 1
		w.push(wants)
		w.settle()
		count := uint64(5)
		w.meddle("s_web", "the autoscaler", func(spec *swarm.ServiceSpec) { spec.Mode.Replicated.Replicas = &count })
		granted, err := w.process.parts.desk.GrantRollback(ada, request.Rollback{Services: []string{"worker"}, Reason: "simulated"})
		if err := runGranted(t.Context(), granted, err); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.check()
		wants.level = 2
		w.push(wants)
		w.settle()
		w.check()
		if got := w.replicas(); got != count {
			t.Errorf("%d replicas, want %d", got, count)
		}
	})
}

// inWorldOf runs a test in a world whose agent has rolled out a release, and reports what is wrong
// with the world afterwards.
func inWorldOf(t *testing.T, shared *fixture, first release, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, shared)
		defer func() { _ = os.RemoveAll(w.dir) }()
		w.push(first)
		w.start()
		w.settle()
		test(t, w)
		for _, wrong := range w.wrong {
			t.Error(wrong)
		}
		w.stop()
	})
}

// replicas gives the replicas of web.
func (w *world) replicas() uint64 {
	return *w.engine.State().Services["s_web"].Spec.Mode.Replicated.Replicas
}
