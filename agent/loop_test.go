package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
	gitsync "coin.internal/coin-agent/sync"
)

// told checks what GitLab was told of a commit.
func (w *world) told(commit string, want ...gitlab.State) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.states(commit)); diff != "" {
		w.t.Errorf("GitLab was told of %s: %s", commit, diff)
	}
}

func TestRolloutAndIdle(t *testing.T) {
	inWorld(t, func(w *world) {
		var rests []*record.Sync // the last sync, each time that the loop begins to wait
		w.change = func(parts *agent.Parts) { parts.Rested = func() { rests = append(rests, w.last()) } }
		w.start()
		first := w.wantLast(w.revision.Commit, record.Succeeded)
		w.told(first.Commit, gitlab.Pending, gitlab.Running, gitlab.Success)
		if w.description != "1 service, 1 network created" && !strings.Contains(w.description, "1 service created") {
			w.t.Errorf("described as %q", w.description)
		}
		for range 20 {
			w.poll()
		}
		if w.plans() != 1 || w.last().ID != first.ID {
			w.t.Errorf("%d plans applied, sync %d: want 1, %d", w.plans(), w.last().ID, first.ID)
		}
		if len(rests) <= 20 || rests[0] == nil || rests[0].State != record.Succeeded {
			w.t.Errorf("it began to wait %d times", len(rests))
		}
		if status := w.desk.Status(); !status.InSync {
			w.t.Errorf("not in sync: %+v", status)
		}
		for _, gap := range w.gaps() {
			if gap < interval-interval/10 || gap > interval+interval/10 {
				w.t.Errorf("%s between two looks", gap)
			}
		}
	})
}

// A revision that failed is held until a new commit or a person comes.
func TestHeldRevision(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		bad := w.commit("2", nodeDir+"node.env", "")
		w.poll()
		failed := w.wantLast(bad, record.Failed)
		w.told(bad, gitlab.Failed)
		if failed.Stage != "render" || failed.Transient || failed.Hint == "" || !strings.Contains(w.description, failed.Hint) {
			w.t.Errorf("failed as %+v, described as %q", failed, w.description)
		}
		for range 5 {
			w.poll()
		}
		if w.last().ID != failed.ID {
			w.t.Error("it was tried again by itself")
		}
		if sync, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil || sync.ID != failed.ID+1 || sync.State != record.Failed {
			w.t.Errorf("asked for: %+v, %v", sync, err)
		}
		good := w.commit("3", nodeDir+"node.env", "TAG=3\n")
		w.poll()
		w.wantLast(good, record.Succeeded)
		w.told(good, gitlab.Pending, gitlab.Running, gitlab.Success)
	})
}

func TestRolloutFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.result = deploy.Result{Services: []deploy.ServiceResult{{Name: "s_web", State: deploy.Failed, Message: "the task failed", Error: "No such image: app:1"}}}
		w.start()
		sync := w.wantLast(w.revision.Commit, record.Failed)
		w.told(sync.Commit, gitlab.Pending, gitlab.Running, gitlab.Failed)
		if !strings.HasPrefix(w.description, "verify: service s_web: ") || !strings.Contains(w.description, "No such image: app:1") || sync.Hint == "" {
			w.t.Errorf("described as %q", w.description)
		}
	})
}

// What is no fault of the revision is tried again, later each time.
func TestEnvironmentErrors(t *testing.T) {
	for name, set := range map[string]func(w *world, err error){
		"remote":         func(w *world, err error) { w.selectErr = err },
		"fetch":          func(w *world, err error) { w.fetchErr = err },
		"engine":         func(w *world, err error) { w.engineErr = err },
		"remote's files": func(w *world, err error) { w.mismatch = err },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.set(func() { set(w, fmt.Errorf("away: %w", gitsync.ErrUnreachable)) })
				w.start()
				w.pass(2 * time.Hour)
				limit := interval
				for i, gap := range w.gaps() {
					limit = min(2*limit, 10*time.Minute)
					if gap < limit-limit/10 || gap > limit+limit/10 {
						w.t.Errorf("look %d came after %s, want %s give or take a tenth", i, gap, limit)
					}
				}
				if status := w.desk.Status(); status.InSync || !strings.Contains(status.PollError, "away") {
					w.t.Errorf("status: %+v", status)
				}
				w.set(func() { set(w, nil) })
				w.pass(11 * time.Minute)
				w.wantLast(w.revision.Commit, record.Succeeded)
				if status := w.desk.Status(); !status.InSync || status.PollError != "" {
					w.t.Errorf("status: %+v", status)
				}
			})
		})
	}
}

// Where auto_deploy is off, `agent sync` is the word that a rollout waits for.
func TestGate(t *testing.T) {
	inWorld(t, func(w *world) {
		const reason = "auto_deploy is off; `agent sync` on the node rolls it out"
		commit := w.commit("2", configFile, string(w.files[configFile].Data)+"deployment: {auto_deploy: false}\n")
		w.start()
		sync := w.wantLast(commit, record.Waiting)
		w.told(commit, gitlab.Pending)
		if sync.Waiting != reason || w.description != "waiting for a user (auto_deploy): "+reason {
			w.t.Errorf("waits for %q, described as %q", sync.Waiting, w.description)
		}
		w.poll()
		w.halt()
		w.start()
		w.poll()
		if w.plans() != 0 || w.last().ID != sync.ID {
			w.t.Errorf("it did not wait: %+v", w.last())
		}
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			w.t.Fatal(err)
		}
		done := w.wantLast(commit, record.Succeeded)
		if done.ID != sync.ID || done.Waiting != "" || w.plans() != 1 {
			w.t.Errorf("rolled out as %+v", done)
		}
	})
}

func TestSuperseded(t *testing.T) {
	inWorld(t, func(w *world) {
		old := w.commit("2", configFile, string(w.files[configFile].Data)+"deployment: {auto_deploy: false}\n")
		w.start()
		w.wantLast(old, record.Waiting)
		commit := w.commit("3", nodeDir+"node.env", "TAG=3\n")
		w.poll()
		w.wantLast(commit, record.Waiting)
		w.told(old, gitlab.Pending, gitlab.Canceled)
		if w.description != "superseded by 0000000000" {
			w.t.Errorf("described as %q", w.description)
		}
	})
}

// A commit that could not begin, and that a newer one replaces, does not stay pending.
func TestSupersededBeforeItBegan(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		old := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.set(func() { w.engineErr = fmt.Errorf("away: %w", deploy.ErrUnavailable) })
		w.poll()
		w.wantLast(old, record.Failed)
		w.set(func() { w.engineErr = nil })
		commit := w.commit("3", nodeDir+"node.env", "TAG=3\n")
		w.pass(11 * time.Minute)
		w.wantLast(commit, record.Succeeded)
		w.told(old, gitlab.Pending, gitlab.Canceled)
	})
}

// An agent that is stopped while it applies carries on under the same number.
func TestCarriesOn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.onApply = func(ctx context.Context) { <-ctx.Done() }
		w.start()
		running := w.wantLast(w.revision.Commit, record.Running)
		w.halt()
		w.onApply = nil
		w.start()
		done := w.wantLast(w.revision.Commit, record.Succeeded)
		if done.ID != running.ID {
			w.t.Errorf("carried on as %d, was %d", done.ID, running.ID)
		}
		w.told(done.Commit, gitlab.Pending, gitlab.Running, gitlab.Success)
	})
}

func TestRewrittenHistory(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		first := w.revision.Commit
		rewritten := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.set(func() { w.descends = false })
		w.poll()
		w.wantLast(first, record.Succeeded)
		w.told(rewritten, gitlab.Failed)
		status := w.desk.Status()
		if !strings.Contains(status.PollError, "history was rewritten") || !strings.Contains(status.PollHint, "allow_rewrite") || status.InSync {
			w.t.Errorf("status: %+v", status)
		}
		w.halt()
		w.allow = true
		w.start()
		w.wantLast(rewritten, record.Succeeded)
	})
}

// A remote that no longer has the last commit may be a replica that lags behind: the agent waits. A user's
// sync takes the history for rewritten.
func TestRewrittenHistoryWithoutTheLastCommit(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		first := w.revision.Commit
		rewritten := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.set(func() { w.descends, w.gone = false, first })
		w.poll()
		w.told(rewritten)
		if status := w.desk.Status(); !strings.Contains(status.PollError, "does not have the commit that was synced last") || !strings.Contains(status.PollHint, "`agent sync`") {
			w.t.Errorf("status: %+v", status)
		}
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err == nil || !strings.Contains(err.Error(), "history was rewritten") {
			w.t.Errorf("a sync without allow_rewrite: %v", err)
		}
		w.wantLast(first, record.Succeeded)
		w.halt()
		w.allow = true
		w.start()
		w.wantLast(first, record.Succeeded)
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			w.t.Error(err)
		}
		w.wantLast(rewritten, record.Succeeded)
	})
}

func TestDrift(t *testing.T) {
	for mode, corrected := range map[string]bool{"report": false, "correct": true} {
		t.Run(mode, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.commit("2", configFile, string(w.files[configFile].Data)+"drift: "+mode+"\n")
				w.start()
				w.set(func() { w.live = nil })
				w.poll()
				if got := w.plans() == 2; got != corrected {
					w.t.Errorf("%d plans applied", w.plans())
				}
				if status := w.desk.Status(); status.InSync != corrected || len(status.Drift) > 0 == corrected {
					w.t.Errorf("in sync %v, drift %v", status.InSync, status.Drift)
				}
			})
		})
	}
}

// A request comes in its turn; one whose client gives up is not waited for.
func TestSyncRequests(t *testing.T) {
	inWorld(t, func(w *world) {
		w.onApply = func(context.Context) { time.Sleep(time.Minute) }
		w.start()
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		if _, err := w.desk.Sync(ctx, person, func(string) {}); !errors.Is(err, context.DeadlineExceeded) {
			w.t.Errorf("got %v while a sync runs", err)
		}
		sync, err := w.desk.Sync(w.t.Context(), person, func(string) {})
		if err != nil || sync.Trigger != "manual" || sync.Summary != "in sync: nothing to change" {
			w.t.Errorf("got %+v, %v", sync, err)
		}
		synctest.Wait()
		w.told(w.revision.Commit, gitlab.Pending, gitlab.Running, gitlab.Success)
	})
}

// Who asks for a sync while one goes on sees how that goes.
func TestProgressOfTheSyncBefore(t *testing.T) {
	inWorld(t, func(w *world) {
		w.verify = func(context.Context) error { time.Sleep(time.Minute); return nil }
		w.start()
		w.set(func() { w.verify = nil })
		var progress []string
		run, err := w.desk.GrantSync(person, request.Sync{})
		if err != nil {
			w.t.Fatal(err)
		}
		sync, err := run(w.t.Context(), func(text string) { progress = append(progress, text) })
		if err != nil || len(progress) != 1 || progress[0] != "create service s_web: done" || sync == nil || sync.Trigger != "manual" {
			w.t.Errorf("got %q, %+v, %v", progress, sync, err)
		}
	})
}

// A person may ask before the daemon has seen a commit: GitLab hears of it even
// when nothing is to change.
func TestManualSyncOfNewCommit(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		commit := w.commit("2")
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			w.t.Fatal(err)
		}
		w.told(commit, gitlab.Success)
	})
}
