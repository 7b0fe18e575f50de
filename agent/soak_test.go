package agent_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// webAndDB is the world's compose file with a service that keeps its image.
const webAndDB = "services: {web: {image: \"app:$TAG\"}, db: {image: \"db:$DB\"}}\n"

// soaks is a world with a good release 1 and a release 2 that has just succeeded.
type soaks struct {
	*world
	c               *crashing
	box             *mailbox
	first, released string // commits
}

// inSoakingWorld rolls out two releases; the soak time of the first is over.
func inSoakingWorld(t *testing.T, config string, test func(s *soaks)) {
	t.Helper()
	inCrashingWorldWith(t, config, func(w *world, c *crashing, box *mailbox, _ string) {
		first := w.commit("1b", nodeDir+"docker-compose.yml", webAndDB, nodeDir+"node.env", "TAG=1\nDB=1\n")
		w.poll()
		w.pass(11 * time.Minute)
		w.wantLast(first, record.Succeeded)
		w.set(func() { w.onApply = func(context.Context) { c.runs(1) } }) // also while a task is away
		s := &soaks{w, c, box, first, w.commit("2", nodeDir+"node.env", "TAG=2\nDB=1\n")}
		w.poll()
		w.wantLast(s.released, record.Succeeded)
		test(s)
	})
}

// loops has the service crash three times.
func (s *soaks) loops() {
	for range 3 {
		s.c.crash()
		s.pass(3 * time.Second)
	}
	s.pass(time.Second)
}

// byHand has another process set the environment of web.
func (s *soaks) byHand(env ...string) {
	s.set(func() {
		spec := s.live["s_web"]
		container := *spec.TaskTemplate.ContainerSpec
		container.Env = env
		spec.TaskTemplate.ContainerSpec = &container
		s.live["s_web"] = spec
	})
}

// wantMark wants the state of the last good release marked or not, in status, history and
// audit log.
func (s *soaks) wantMark(marked bool) {
	s.t.Helper()
	status := s.desk.Status()
	if got := strings.HasPrefix(status.Applied.Unfit, "it did not stay healthy: web "); got != marked {
		s.t.Errorf("marked %v, want %v: %q", got, marked, status.Applied.Unfit)
	}
	syncs, err := s.store.History(10)
	if err != nil {
		s.t.Fatal(err)
	}
	if i := slices.IndexFunc(syncs, func(one record.Sync) bool { return one.Commit == s.released && one.Trigger != record.OnDrift }); syncs[i].Good == marked {
		s.t.Errorf("the history says good: %v", syncs[i].Good)
	}
	if got := slices.Contains(s.audited(), "agent: soak s failed"); got != marked {
		s.t.Errorf("the audit log has the mark: %v", got)
	}
}

// A release that crashes within its soak time is rolled back once, and nothing goes back and
// forth when the older one crashes, too.
func TestSoakRollsBack(t *testing.T) {
	inSoakingWorld(t, backAutomatically, func(s *soaks) {
		if status := s.desk.Status(); status.Applied.Soaking.Before(time.Now()) || !strings.Contains(s.scrape(), "coin_agent_soaking{environment=\"sandbox\",node=\"node3\"} 1") {
			t.Errorf("it does not soak: %+v", status.Applied)
		}
		began := time.Now()
		s.loops()
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
		back := s.wantLast(s.released, record.RolledBack)
		s.runs("1")
		if why := "0000000000 did not stay healthy: web 0/1 (exit 3, 3 restarts in 10 min)"; !back.Rollback.Auto || back.Trigger != record.OnRollback || back.Rollback.Reason != why || !back.Held() {
			t.Errorf("recorded %+v", back.Rollback)
		}
		s.told(s.released, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed, gitlab.Failed)
		if !strings.HasPrefix(s.description, "rolled back to 1 (sync #2): 0000000000 did not stay healthy") {
			t.Errorf("described as %q", s.description)
		}
		s.box.wants(t, "services are degraded after the rollout, release 2", "rolled back automatically, release 2")
		if audited := s.audited(); !slices.Contains(audited, "agent: soak s failed") || !slices.Contains(audited, "agent: rollback s succeeded") {
			t.Errorf("audited %v", audited)
		}
		s.loops()
		s.pass(10 * time.Minute)
		s.runs("1")
		if again := s.last(); again.ID != back.ID {
			t.Errorf("it goes back and forth: %+v", again)
		}
	})
}

// TestSoakTime has what can happen within the soak time, and what marks the state, and what rolls it
// back.
func TestSoakTime(t *testing.T) {
	for name, test := range map[string]struct {
		config string
		happen func(s *soaks)
		marked bool
		runs   string
	}{
		"a user decides": {"", func(s *soaks) {
			s.loops()
			s.wantMark(true)
			s.runs("2")
			s.wentBack(request.Rollback{})
			if _, err := s.goBack(request.Rollback{To: 3}); err == nil || !strings.Contains(err.Error(), "it did not stay healthy: web") {
				s.t.Errorf("rolled back to it: %v", err)
			}
		}, false, "1"},
		"the soak time is over": {backAutomatically, func(s *soaks) { s.pass(11 * time.Minute); s.loops() }, false, "2"},
		"it is short":           {"deployment: {rollback: {automatic: true, soak: 1s}}\n", (*soaks).loops, false, "2"},
		"rollbacks are off":     {"deployment: {rollback: {automatic: true, enabled: false}}\n", (*soaks).loops, true, "2"},
		"a service that the release did not change": {backAutomatically, func(s *soaks) {
			s.c.service = "s_db"
			s.loops()
			if status := s.desk.Status(); status.Healthy() {
				s.t.Error("s_db is healthy")
			}
		}, false, "2"},
		"another process changed the service": {backAutomatically, func(s *soaks) {
			s.byHand("BAD=1")
			s.loops()
		}, false, "2"},
		"another process changed the service and undid it": {backAutomatically, func(s *soaks) {
			s.byHand("BAD=1")
			s.loops()
			s.byHand()
			s.halt()
			s.start()
			s.c.crash() // the others are within the window
			if status := s.desk.Status(); len(status.Drift) > 0 || status.Healthy() || !status.Applied.Soaking.IsZero() {
				s.t.Errorf("%+v, %+v", status.Drift, status.Health)
			}
		}, false, "2"},
		"another process changed an ignored field": {backAutomatically +
			"drift_ignore: [{service: web, fields: [environment], until: 2099-01-01, reason: an updater}]\n", func(s *soaks) {
			s.byHand("BAD=1")
			s.loops()
		}, false, "2"},
		"tasks are missing for a minute": {backAutomatically, func(s *soaks) { s.c.runs(0); s.pass(100 * time.Second); s.c.runs(1); s.pass(6 * time.Minute) }, false, "2"},
		"tasks are missing for a short soak time": {"deployment: {health_check: {timeout: 300s}, rollback: {automatic: true, soak: 5m}}\n", func(s *soaks) {
			s.c.runs(0)
			s.pass(5 * time.Minute)
		}, false, "1"},
		"tasks are missing for good": {backAutomatically, func(s *soaks) { s.c.runs(0); s.pass(5 * time.Minute) }, false, "1"},
		"the agent restarts": {backAutomatically, func(s *soaks) {
			s.c.crash()
			s.halt()
			s.start()
			s.pass(time.Second)
			s.c.crash()
			s.c.crash()
			s.pass(5 * time.Second)
		}, false, "1"},
		"git is away": {backAutomatically, func(s *soaks) {
			s.set(func() { s.selectErr = errors.New("git is away") })
			s.loops()
		}, false, "1"},
		"paused": {backAutomatically, func(s *soaks) {
			_, err := s.desk.Pause(person, request.Pause{Reason: "why"})
			s.loops()
			s.wantMark(true)
			s.runs("2")
			_, resumed := s.desk.Resume(s.t.Context(), person, request.Resume{})
			if s.pass(time.Second); errors.Join(err, resumed) != nil {
				s.t.Error(err, resumed)
			}
		}, false, "1"},
		"healthy again while paused": {backAutomatically, func(s *soaks) {
			_, err := s.desk.Pause(person, request.Pause{Reason: "why"})
			s.loops()
			s.pass(15 * time.Minute)
			s.wantMark(true)
			s.pass(10 * time.Minute)
			if status := s.desk.Status(); err != nil || status.Applied.Unfit != "" || !slices.Contains(s.audited(), "agent: soak s succeeded") {
				s.t.Errorf("%v, %+v, %v", err, status.Applied, s.audited())
			}
			_, _ = s.desk.Resume(s.t.Context(), person, request.Resume{})
			s.pass(time.Minute)
		}, false, "2"},
		"a newer commit waits": {backAutomatically, func(s *soaks) {
			waiting := s.commit("3", configFile, string(s.files[configFile].Data)+"approval: {required: true}\n", nodeDir+"node.env", "TAG=3\nDB=1\n")
			s.poll()
			s.loops()
			s.pass(5 * time.Minute)
			s.wantLast(waiting, record.Waiting)
		}, true, "2"},
		"a release of another service follows": {backAutomatically, func(s *soaks) {
			third := s.commit("3", nodeDir+"node.env", "TAG=2\nDB=3\n")
			s.poll()
			s.wantLast(third, record.Succeeded)
			s.loops()
			if back := s.wantLast(third, record.RolledBack); back.Rollback.To != 2 {
				s.t.Errorf("rolled back to #%d", back.Rollback.To)
			}
		}, false, "1"},
		"a sync of the same": {backAutomatically, func(s *soaks) {
			_, err := s.desk.Sync(s.t.Context(), person, func(string) {})
			if s.loops(); err != nil {
				s.t.Error(err)
			}
		}, false, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			inSoakingWorld(t, test.config, func(s *soaks) {
				test.happen(s)
				s.runs(test.runs)
				if s.last().State == record.Succeeded && !strings.HasPrefix(name, "healthy") {
					s.wantMark(test.marked)
				}
			})
		})
	}
}

// meddles has another process change the environment of services.
func (s *soaks) meddles(value string, services ...string) {
	s.set(func() {
		for _, name := range services {
			spec := s.live[name]
			container := *spec.TaskTemplate.ContainerSpec
			container.Env = []string{"BY_HAND=" + value}
			spec.TaskTemplate.ContainerSpec = &container
			s.live[name] = spec
		}
	})
	s.poll()
}

// TestSoakAndDrift corrects a drift within the soak time, after it, and after a failed one: by a
// sync that leaves a contested service as it is, and by the return to the deployed state. Neither
// begins nor ends a soak time, nor takes a mark back.
func TestSoakAndDrift(t *testing.T) {
	for route, leaves := range map[string]bool{"leaves a service": true, "by the deployed state": false} {
		for name, test := range map[string]struct {
			before          func(s *soaks)
			soaking, marked bool
		}{
			"within it":          {func(*soaks) {}, true, false},
			"after it":           {func(s *soaks) { s.pass(11 * time.Minute) }, false, false},
			"after a failed one": {(*soaks).loops, false, true},
		} {
			if leaves && test.marked {
				continue // the corrections before verify the release again, which takes the mark back
			}
			t.Run(route+" "+name, func(t *testing.T) {
				inSoakingWorld(t, "drift: correct\n", func(s *soaks) {
					before := s.desk.Status().Applied.Soaking
					test.before(s)
					s.wantMark(test.marked)
					if leaves {
						for _, value := range []string{"1", "2", "3"} {
							s.meddles(value, "s_web")
						}
					} else {
						s.commit("3", nodeDir+"docker-compose.yml", "services: [\n")
						s.poll()
					}
					if leaves {
						s.meddles("4", "s_web", "s_db")
					} else {
						s.meddles("1", "s_db")
					}
					last := s.last()
					if last.Trigger != record.OnDrift || !last.Verified() || len(record.Corrected(last)) != 1 || slices.Contains(last.Leaves, "s_web") != leaves {
						t.Fatalf("corrected by %+v", last)
					}
					s.wantMark(test.marked)
					soaks := test.soaking && !leaves // a service that another process changed is not judged any more
					if soaking := s.desk.Status().Applied.Soaking; soaks && !soaking.Equal(before) || soaking.After(time.Now()) != soaks {
						t.Errorf("soaks until %s, before until %s", soaking, before)
					}
				})
			})
		}
	}
}

// A rollback that is refused is published once, and a user decides.
func TestSoakRefuses(t *testing.T) {
	inCrashingWorldWith(t, backAutomatically, func(w *world, c *crashing, box *mailbox, commit string) {
		s := &soaks{w, c, box, commit, commit}
		s.loops()
		s.pass(time.Minute)
		last := w.wantLast(commit, record.Succeeded)
		if last.Rollback == nil || !strings.Contains(last.Rollback.Refused, "no good state is recorded") {
			t.Fatalf("refused %+v", last.Rollback)
		}
		w.wantMetrics(`coin_agent_rollbacks_total{environment="sandbox",node="node3",result="refused"} 1`)
		box.wants(t, "services are degraded after the rollout, release 1", "the release did not stay healthy, and is not rolled back, release 1")
		w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed, gitlab.Failed)
		if status := w.desk.Status(); !strings.HasPrefix(status.Next, "decide how to continue") {
			t.Errorf("next: %s", status.Next)
		}
		before := len(w.audited())
		s.loops()
		w.halt()
		w.start()
		s.loops()
		if after := w.audited(); len(after) != before {
			t.Errorf("it does not leave it at that: %v", after[before:])
		}
	})
}
