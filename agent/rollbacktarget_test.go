package agent_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// A commit that waits has written nothing: going back goes on from what runs.
func TestRollbackBesideACommitThatWroteNothing(t *testing.T) {
	for name, change := range map[string]struct {
		config string
		state  record.State
		to     string
	}{
		"it waits": {baseConfig + "deployment: {auto_deploy: false}\n", record.Waiting, "1"},
		"it fails": {"nonsense: true\n", record.Failed, "2"}, // a failed rollout is taken back, no other
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.release("1")
				w.start()
				w.release("2")
				w.poll()
				third := w.release("3", configFile, change.config)
				w.poll()
				w.wantLast(third, change.state)
				w.runs("2")
				w.wentBack(request.Rollback{})
				w.runs(change.to)
			})
		})
	}
}

// After one service went back another one goes to the release before its own, not to
// the one before the first one's.
func TestRollbackOfOneServiceAfterAnother(t *testing.T) {
	inWorld(t, func(w *world) {
		for i, tag := range []string{"1", "2", "3"} {
			w.release(tag, nodeDir+"docker-compose.yml", twoServices)
			if i == 0 {
				w.start()
			}
			w.poll()
		}
		for _, step := range []struct {
			services    []string
			web, worker string
		}{
			{[]string{"web"}, "app:2", "app:3"},
			{[]string{"worker"}, "app:2", "app:2"},
			{[]string{"web"}, "app:1", "app:2"},
			{nil, "app:1", "app:1"},
		} {
			w.wentBack(request.Rollback{Services: step.services})
			want := map[string]string{"s_web": step.web, "s_worker": step.worker, "s_migrate": "app:3"}
			if diff := cmp.Diff(want, w.images()); diff != "" {
				t.Fatalf("of %v: %s", step.services, diff)
			}
		}
	})
}

// A service is named as the compose file has it, or in full. A name that is both, of two services, is
// refused before anything is recorded.
func TestNamesOfServicesToRollBack(t *testing.T) {
	const alike = "services: {web: {image: \"app:$TAG\"}, s_web: {image: \"app:$TAG\"}, s_api: {image: \"app:$TAG\"}}\n"
	for name, test := range map[string]struct{ takes, refused string }{
		"web":     {takes: "s_web"},
		"s_web":   {refused: "\"s_web\" names two services: s_web and s_s_web"},
		"s_s_web": {takes: "s_s_web"},
		"s_api":   {takes: "s_s_api"},
		"api":     {refused: "there is no service s_api"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.release("1", nodeDir+"docker-compose.yml", alike)
				w.start()
				w.release("2")
				w.poll()
				last := w.last().ID
				_, err := w.goBack(request.Rollback{To: 1, Services: []string{name}})
				if test.refused != "" {
					if err == nil || !strings.Contains(err.Error(), test.refused) || w.last().ID != last {
						t.Errorf("got %v, %+v", err, w.last())
					}
					return
				}
				want := map[string]string{"s_web": "app:2", "s_s_web": "app:2", "s_s_api": "app:2"}
				want[test.takes] = "app:1"
				if diff := cmp.Diff(want, w.images()); diff != "" || err != nil {
					t.Error(err, diff)
				}
			})
		})
	}
}

// A job is not run again, so it cannot go back alone.
func TestRollbackOfAJob(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", nodeDir+"docker-compose.yml", twoServices)
		w.start()
		w.release("2")
		w.poll()
		last := w.last().ID
		_, err := w.goBack(request.Rollback{To: 1, Services: []string{"migrate"}})
		if err == nil || !strings.Contains(err.Error(), "s_migrate runs to its end") || w.last().ID != last {
			t.Errorf("got %v, %+v", err, w.last())
		}
	})
}

// What a commit had begun to write, and another one has overtaken that cannot be
// rolled out, is taken back.
func TestRollbackOfWhatWasOvertaken(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic)
		w.start()
		second, third := w.overtaken(nodeDir+"docker-compose.yml", "nonsense: true\n")
		w.runs("1")
		sync := w.wantLast(third, record.RolledBack)
		if sync.Rollback.To != 1 || sync.Stage == "rollback" {
			t.Errorf("recorded as %+v, %+v", sync, sync.Rollback)
		}
		if states := w.states(second); states[len(states)-1] != gitlab.Canceled {
			t.Errorf("told %v", states)
		}
	})
}

// overtaken commits 2, and 3 with changes while that is waited for.
func (w *world) overtaken(changes ...string) (second, third string) {
	w.set(func() {
		w.verify = func(ctx context.Context) error {
			if third != "" {
				return nil
			}
			third = w.release("3", changes...)
			<-ctx.Done()
			return ctx.Err()
		}
	})
	second = w.release("2")
	w.pass(3 * interval)
	return second, third
}

// Where the commit that has overtaken waits, a person is told what runs meanwhile,
// and takes it back.
func TestWaitingUponWhatWasOvertaken(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic)
		w.start()
		w.lost = true
		second := w.release("2")
		w.poll()
		w.wantLast(second, record.Running)
		w.halt()
		w.lost = false
		third := w.release("3", configFile, baseConfig+"deployment: {auto_deploy: false}\n")
		w.start()
		w.wantLast(third, record.Waiting)
		w.runs("2")
		if next := w.desk.Status().Next; !strings.Contains(next, "unverified changes of sync #2 are deployed: `agent rollback`") {
			t.Errorf("told %q", next)
		}
		w.wentBack(request.Rollback{})
		w.runs("1")
	})
}

// supersededByNothing begins to roll out 2, and halts the agent when a rollback has superseded
// that, and is not recorded yet.
func (w *world) supersededByNothing() (second string) {
	w.t.Helper()
	w.release("1")
	w.start()
	w.set(func() { w.onApply = func(ctx context.Context) { <-ctx.Done() } })
	second = w.release("2")
	w.poll()
	sync := w.wantLast(second, record.Running)
	sync.State, sync.Summary = record.Superseded, "superseded by a rollback to 1 (sync #1)"
	if err := w.records.SaveOutcome(sync, nil); err != nil {
		w.t.Fatal(err)
	}
	w.halt()
	w.onApply = nil
	return second
}

// An agent that is killed after it has superseded a rollout, and before it has begun
// with what took its place, carries on.
func TestSupersededByNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		second := w.supersededByNothing()
		w.start()
		w.wantLast(second, record.Succeeded)
		w.runs("2")
	})
}

// Likewise, when a newer commit takes its place: GitLab does not show the superseded one as
// running for ever.
func TestSupersededByNothingThenByACommit(t *testing.T) {
	inWorld(t, func(w *world) {
		second := w.supersededByNothing()
		third := w.release("3")
		w.start()
		w.wantLast(third, record.Succeeded)
		w.told(second, gitlab.Pending, gitlab.Running, gitlab.Canceled)
	})
}
