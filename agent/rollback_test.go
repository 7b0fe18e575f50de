package agent_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

const (
	baseConfig = "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n"
	automatic  = baseConfig + "deployment: {rollback: {automatic: true}}\n"
)

// breaks makes the services of these tags fail.
func (w *world) breaks(tags ...string) {
	w.set(func() {
		w.onVerify = func() {
			w.result = deploy.Result{}
			for _, tag := range tags {
				if w.live["s_web"].TaskTemplate.ContainerSpec.Image == "app:"+tag {
					w.result = deploy.Result{Services: []deploy.ServiceResult{{Name: "s_web", State: deploy.Failed, Message: "the task failed", Error: "it is broken"}}}
				}
			}
		}
	})
}

// release commits a tag.
func (w *world) release(tag string, changes ...string) string {
	return w.commit(tag, append([]string{nodeDir + "node.env", "TAG=" + tag + "\n"}, changes...)...)
}

// runs checks the tag that the service runs.
func (w *world) runs(tag string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.live["s_web"].TaskTemplate.ContainerSpec.Image; got != "app:"+tag {
		w.t.Errorf("%s runs, want app:%s", got, tag)
	}
}

// goBack asks for a rollback.
func (w *world) goBack(request request.Rollback) (*record.Sync, error) {
	w.t.Helper()
	return w.desk.Rollback(w.t.Context(), person, request, func(string) {})
}

// wentBack asks for a rollback that has to come off.
func (w *world) wentBack(request request.Rollback) *record.Sync {
	w.t.Helper()
	sync, err := w.goBack(request)
	if err != nil || sync == nil || sync.State != record.RolledBack {
		w.t.Fatalf("got %+v, %v", sync, err)
	}
	return sync
}

// A rollout that fails goes back by itself, and is held.
func TestAutomaticRollback(t *testing.T) {
	inWorld(t, func(w *world) {
		good := w.release("1", configFile, automatic)
		w.start()
		first := w.wantLast(good, record.Succeeded)
		w.breaks("2")
		bad := w.release("2")
		w.poll()
		sync := w.wantLast(bad, record.RolledBack)
		w.runs("1")
		w.told(bad, gitlab.Pending, gitlab.Running, gitlab.Failed)
		for _, want := range []string{"verify: service s_web: ", "rolled back to 1 (sync #1)"} {
			if !strings.Contains(w.description, want) {
				t.Errorf("described as %q, without %q", w.description, want)
			}
		}
		taken := sync.Rollback
		if taken == nil || taken.To != first.ID || taken.Commit != good || !taken.Auto || !taken.Wrote || taken.Finished.IsZero() || taken.PlanDigest == "" || sync.Stage != "verify" {
			t.Fatalf("recorded as %+v at stage %s", taken, sync.Stage)
		}
		applied := w.plans()
		for range 5 {
			w.poll()
		}
		if w.plans() != applied || w.last().ID != sync.ID {
			t.Errorf("%d plans after it, sync %+v", w.plans()-applied, w.last())
		}
		if status := w.desk.Status(); status.InSync || len(status.Drift) > 0 || status.Applied.Commit != good || status.Pinned == nil || status.Pinned.To != first.ID {
			t.Errorf("status: %+v, pinned %+v", status, status.Pinned)
		}
		next := w.release("3")
		w.poll()
		w.wantLast(next, record.Succeeded)
		w.runs("3")
	})
}

// What is not well after it stays failed, and is not tried in circles.
func TestRollbackThatIsNotWell(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic)
		w.start()
		w.breaks("1", "2")
		bad := w.release("2")
		w.poll()
		sync := w.wantLast(bad, record.Failed)
		w.runs("1")
		if sync.Rollback == nil || !strings.Contains(sync.Rollback.Error, "s_web") || sync.Rollback.Refused != "" || sync.Stage != "verify" {
			t.Fatalf("recorded as %+v", sync.Rollback)
		}
		applied := w.plans()
		for range 5 {
			w.poll()
		}
		if w.plans() != applied || w.last().ID != sync.ID {
			t.Error("it goes in circles")
		}
	})
}

func TestNoAutomaticRollback(t *testing.T) {
	for name, test := range map[string]struct {
		config  string
		first   bool // the first rollout fails
		refused string
		hint    string
	}{
		"first rollout": {config: automatic, first: true, refused: "no good state is recorded yet"},
		"by hand":       {config: baseConfig, hint: "agent rollback"},
		"disabled":      {config: baseConfig + "deployment: {rollback: {enabled: false, automatic: true}}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				commit := w.release("1", configFile, test.config)
				if test.first {
					w.breaks("1")
				}
				w.start()
				if !test.first {
					w.breaks("2")
					commit = w.release("2")
					w.poll()
				}
				sync := w.wantLast(commit, record.Failed)
				refused := ""
				if sync.Rollback != nil {
					refused = sync.Rollback.Refused
				}
				if refused != test.refused || strings.Contains(sync.Hint, "agent rollback") != (test.hint != "") {
					t.Errorf("recorded as %+v, hint %q", sync.Rollback, sync.Hint)
				}
				if _, err := w.goBack(request.Rollback{}); (err == nil) != (test.hint != "") {
					t.Errorf("by hand: %v", err)
				}
			})
		})
	}
}

// An engine that is gone is no reason to go back.
func TestNoRollbackForTheEngine(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic)
		w.start()
		w.set(func() { w.onVerify = func() { w.engineErr = deploy.ErrUnavailable } })
		next := w.release("2")
		w.poll()
		w.runs("2")
		if sync := w.wantLast(next, record.Failed); !sync.Transient || sync.Rollback != nil {
			t.Errorf("recorded as %+v", sync)
		}
		w.set(func() { w.onVerify, w.engineErr = nil, nil })
		w.pass(10 * time.Minute)
		w.wantLast(next, record.Succeeded)
	})
}

// An agent that is killed on the way back carries on with it, with the remote gone,
// and never with the bad revision.
func TestRollbackIsCarriedOn(t *testing.T) {
	for name, stops := range map[string]func(w *world){
		"before the plan is applied": func(w *world) {
			w.onApply = func(ctx context.Context) { <-ctx.Done() }
		},
		"after the plan is applied": func(w *world) { w.lost = true },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.release("1", configFile, automatic)
				w.start()
				w.breaks("2")
				fails := w.onVerify
				w.set(func() {
					w.onVerify = func() { fails(); stops(w) }
				})
				bad := w.release("2")
				w.poll()
				if sync := w.wantLast(bad, record.Running); sync.Stage != "rollback" || sync.Error == "" {
					t.Fatalf("at %s: %q", sync.Stage, sync.Error)
				}
				w.halt()
				w.onApply, w.lost, w.onVerify = nil, false, fails
				w.selectErr = context.DeadlineExceeded
				w.start()
				sync := w.wantLast(bad, record.RolledBack)
				w.runs("1")
				if sync.ID != 2 || !strings.Contains(sync.Error, "s_web") || sync.Rollback.PlanDigest == "" || len(sync.Rollback.Plan) < 20 {
					t.Errorf("recorded as %+v", sync)
				}
				w.told(bad, gitlab.Pending, gitlab.Running, gitlab.Failed)
			})
		})
	}
}

func TestRollbackByHand(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, tag := range []string{"1", "2", "3"} {
			w.release(tag)
			if tag == "1" {
				w.start()
			} else {
				w.poll()
			}
		}
		third := w.wantLast(w.revision.Commit, record.Succeeded)
		w.set(func() { w.selectErr = context.DeadlineExceeded }) // git is gone
		sync := w.wentBack(request.Rollback{Reason: "it is slow"})
		w.runs("2")
		if sync.Trigger != "rollback" || sync.Commit != third.Commit || sync.Actor != person || sync.Rollback.Reason != "it is slow" || sync.Rollback.To != 2 {
			t.Errorf("recorded as %+v, %+v", sync, sync.Rollback)
		}
		if brought := sync.Deployment; brought == nil || len(brought.Services) != 1 || brought.Services[0].Before != third.Deployment.Services[0].Image {
			t.Errorf("its manifest has %+v", brought)
		}
		w.told(third.Commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed)
		if w.description != "rolled back to 2 (sync #2) by local:ada: it is slow" {
			t.Errorf("described as %q", w.description)
		}
		w.wentBack(request.Rollback{}) // and never to the one that was left
		w.runs("1")
		if _, err := w.goBack(request.Rollback{}); err == nil || !strings.Contains(err.Error(), "no good state is recorded from before") {
			t.Errorf("got %v", err)
		}
		if _, err := w.goBack(request.Rollback{To: 77}); err == nil || !strings.Contains(err.Error(), "#77 is not a recorded good state") {
			t.Errorf("got %v", err)
		}
		w.wentBack(request.Rollback{To: 3}) // unless told
		w.runs("3")
		w.set(func() { w.selectErr = nil })
		w.poll()
		w.runs("3")
		if sync := w.last(); sync.State != record.RolledBack {
			t.Errorf("it does not stay: %+v", sync)
		}
	})
}

// It stays there until a commit that concerns the node, or until somebody resumes.
func TestPinned(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1")
		w.start()
		commit := w.release("2")
		w.poll()
		w.wentBack(request.Rollback{})
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err == nil || !strings.Contains(err.Error(), "pinned at 1 (sync #1)") {
			t.Errorf("a sync: %v", err)
		}
		w.runs("1")
		if _, err := w.desk.Resume(w.t.Context(), person, request.Resume{}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		w.wantLast(commit, record.Succeeded)
		w.runs("2")
		if status := w.desk.Status(); status.Pinned != nil || !status.InSync {
			t.Errorf("still pinned: %+v", status.Pinned)
		}
	})
}

// The plan that was shown is the plan that is applied.
func TestRollbackByPlan(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1")
		w.start()
		w.release("2")
		w.poll()
		plan, err := w.desk.PlanRollback(w.t.Context(), person, request.Rollback{})
		if err != nil || plan.To != 1 || len(plan.Plan.Steps) != 1 || plan.Digest == "" {
			t.Fatalf("got %+v, %v", plan, err)
		}
		before := w.last().ID
		w.set(func() { w.live = map[string]swarm.ServiceSpec{} })
		if _, err := w.goBack(request.Rollback{Digest: plan.Digest}); err == nil || !strings.Contains(err.Error(), "the plan has changed") {
			t.Errorf("got %v", err)
		}
		if w.last().ID != before {
			t.Errorf("it is recorded as %+v", w.last())
		}
	})
}

// Drift is measured by what was put back, and that is what correcting restores.
func TestDriftAfterRollback(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic+"drift: correct\n")
		w.start()
		w.breaks("2")
		bad := w.release("2")
		w.poll()
		w.wantLast(bad, record.RolledBack)
		w.set(func() { w.live = map[string]swarm.ServiceSpec{} })
		w.set(func() { w.onVerify = nil })
		w.poll()
		w.poll()
		w.runs("1")
		sync := w.wantLast(bad, record.RolledBack)
		if sync.Trigger != "drift" || sync.ID != 3 {
			t.Errorf("recorded as %+v", sync)
		}
		if pinned := w.desk.Status().Pinned; pinned == nil || pinned.Reason != "" {
			t.Errorf("pinned %+v", pinned)
		}
	})
}
