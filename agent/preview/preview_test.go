package preview_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
)

// TestPlan follows a merge request from its beginning to after its merge.
func TestPlan(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.node("node3")
		n.start()
		defer func() { n.stop() }()
		n.look(time.Minute)
		since := len(w.gitlab.Requests())
		number, head := w.open("feature", map[string]string{folder + "node3/plan": "two"})
		n.look(10 * time.Minute)
		w.wantNote(number, "| node3 | 1 service to create | ", "| success of node1 ", "create     service s_two", "plan "+planOf("two").Digest()[:10])
		if calls, list := w.calls(since); calls > 8+1 { // and the token's user, once for each start
			t.Errorf("%d requests:\n%s", calls, list)
		}
		entries := w.gitlab.Statuses(head).Entries
		if len(entries) != 1 || entries[0].Name != "coin-agent/sandbox/node3/plan" || entries[0].Status != "success" || entries[0].Ref != "feature" ||
			entries[0].TargetURL == nil || !strings.HasSuffix(*entries[0].TargetURL, fmt.Sprintf("/merge_requests/%d#note_5001", number)) {
			t.Errorf("%+v", entries)
		}
		since = len(w.gitlab.Requests())
		for range 20 {
			n.look(30 * time.Second)
		}
		if calls, list := w.calls(since); calls > 0 {
			t.Errorf("idle: %s", list)
		}
		head = w.branch("feature", map[string]string{folder + "node3/plan": "bad"})
		w.gitlab.Push(number, "ada", head)
		n.look(10 * time.Minute)
		w.wantNote(number, "| node3 | cannot be rendered: plan:1: the plan is bad | ", "hint: write another one")
		if entries := w.gitlab.Statuses(head).Entries; len(entries) != 1 || entries[0].Status != "failed" {
			t.Errorf("%+v", entries)
		}
		head = w.branch("feature", map[string]string{folder + "node4/plan": "two"})
		w.gitlab.Push(number, "ada", head)
		n.look(10 * time.Minute)
		w.wantNote(number, "changes nothing that this node reads")
		w.gitlab.CloseMergeRequest(number)
		note := w.note(number)
		head = w.branch("feature", map[string]string{folder + "node3/plan": "three"})
		w.gitlab.Push(number, "ada", head)
		n.look(10 * time.Minute)
		if w.note(number) != note || len(w.gitlab.Statuses(head).Entries) > 0 {
			t.Errorf("written after the end: %s", w.note(number))
		}
	})
}

// TestOthers wants nothing on merge requests that are not the node's business.
func TestOthers(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.node("node3")
		n.start()
		defer n.stop()
		other, _ := w.open("other", map[string]string{folder + "node4/plan": "two"})
		base := w.repo.Head()
		head := w.branch("fork", map[string]string{folder + "node3/plan": "two"})
		fork := w.gitlab.AddOpen(gitlabtest.Open{Source: "fork", Head: head, Base: base, Fork: true})
		stable := w.gitlab.AddOpen(gitlabtest.Open{Source: "fork", Target: "stable", Head: head, Base: base})
		n.look(10 * time.Minute)
		for _, number := range []int64{other, fork, stable} {
			if note := w.note(number); note != "" {
				t.Errorf("!%d: %s", number, note)
			}
		}
	})
}

// TestForgedNote wants a note of another user with the agent's marks to be left alone.
func TestForgedNote(t *testing.T) {
	inWorld(t, func(w *world) {
		number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two"})
		forged := "<!-- coin-agent:plans sandbox by node3 -->\n\nnothing to see"
		w.gitlab.AddRequestNote(number, gitlabtest.User{ID: 7, Name: "eve"}, forged)
		n := w.node("node3")
		n.start()
		defer n.stop()
		n.look(10 * time.Minute)
		w.wantNote(number, "| node3 | 1 service to create")
		if all := w.gitlab.RequestNotes(number); all[0].Body != forged || len(all) != 2 {
			t.Errorf("%+v", all)
		}
	})
}

// TestStale wants to read that the branch moved while the new commit has no plan.
func TestStale(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.node("node3")
		n.start()
		defer n.stop()
		number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two"})
		n.look(10 * time.Minute)
		n.wrong = "the engine does not answer"
		head := w.branch("feature", map[string]string{folder + "node3/plan": "three"})
		w.gitlab.Push(number, "ada", head)
		n.look(20 * time.Second)
		w.wantNote(number, "**stale: the branch moved.** 1 service to create", "the engine does not answer", "s_two")
		n.wrong = ""
		n.look(20 * time.Minute)
		w.wantNote(number, "| node3 | 1 service to create | ", "s_three")
	})
}

// TestCompared wants to read after the merge whether another plan was applied.
func TestCompared(t *testing.T) {
	for _, applied := range []string{"two", "four"} {
		inWorld(t, func(w *world) {
			n := w.node("node3")
			n.start()
			defer n.stop()
			number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two"})
			n.look(10 * time.Minute)
			w.repo.Git("merge", "--quiet", "--no-ff", "-m", "merge", "feature")
			w.gitlab.Merge(number, w.repo.Head())
			w.moved()
			before := w.note(number)
			plan := planOf(applied)
			text, err := json.Marshal(plan)
			if err != nil {
				t.Fatal(err)
			}
			n.syncs = []record.Sync{{ID: 7, Commit: w.repo.Head(), Ref: "master", State: record.Succeeded, Trigger: record.OnCommit, PlanDigest: plan.Digest(), Plan: text}}
			n.last = &n.syncs[0]
			w.gitlab.Inject(gitlabtest.Fault{Method: http.MethodGet, Path: "merge_requests/1/notes", Status: http.StatusBadGateway, Times: 1})
			n.look(500 * time.Millisecond)
			w.moved() // a branch, before the text is written
			n.look(10 * time.Minute)
			if applied == "two" {
				if w.note(number) != before {
					t.Errorf("told of no difference: %s", w.note(number))
				}
				return
			}
			w.wantNote(number, "not as shown: the plan of sync \\#7", "- create     service s_two", "+ create     service s_four")
		})
	}
}

// TestLoopFirst wants a plan to end when the loop works, and to be made afterwards.
func TestLoopFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.node("node3")
		n.planning = make(chan struct{}, 100)
		n.start()
		defer n.stop()
		number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two"})
		n.worker.Look()
		<-n.planning
		synctest.Wait()
		began := time.Now()
		release := n.worker.Hold()
		if waited := time.Since(began); waited > 0 {
			t.Errorf("the loop waited %s", waited)
		}
		n.planning = nil
		n.look(10 * time.Minute)
		if note := w.note(number); note != "" {
			t.Errorf("a plan was made while the loop worked: %s", note)
		}
		release()
		n.look(time.Minute)
		w.wantNote(number, "s_two")
	})
}

// TestMany wants all plans of many merge requests, the newest first.
func TestMany(t *testing.T) {
	inWorld(t, func(w *world) {
		const many = 60
		var numbers []int64
		base := w.repo.Head()
		head := w.branch("feature", map[string]string{folder + "node3/plan": "two"})
		for i := range many {
			numbers = append(numbers, w.gitlab.AddOpen(gitlabtest.Open{Source: fmt.Sprint("feature", i), Head: head, Base: base}))
		}
		n := w.node("node3")
		n.start()
		defer n.stop()
		n.look(time.Hour)
		for _, number := range numbers {
			w.wantNote(number, "| node3 | 1 service to create")
		}
		first := ""
		for _, one := range w.gitlab.Requests() {
			if one.Method == http.MethodPost && first == "" && strings.Contains(one.Path, "notes") {
				first = one.Path
			}
		}
		if !strings.Contains(first, fmt.Sprintf("merge_requests/%d/", many)) {
			t.Errorf("the first note is %s", first)
		}
	})
}
