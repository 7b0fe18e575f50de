package preview_test

import (
	"net/http"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/report"
)

// rival writes the note as a node does that has read it before: without the row of node3.
func (w *world) rival(number int64) {
	w.t.Helper()
	note := report.NewPlanNote("sandbox", "node4")
	note.Set("node4", report.PlanPage{Cells: []string{"of node4", "", ""}})
	w.gitlab.EditRequestNote(number, w.gitlab.RequestNotes(number)[0].ID, note.String())
}

// TestOverwrittenLate has another node overwrite a row that was written again. It is looked for
// as long as after its first write.
func TestOverwrittenLate(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.node("node3")
		n.start()
		defer n.stop()
		number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two"})
		n.look(30 * time.Second) // the first check has passed
		w.rival(number)
		n.look(50 * time.Second) // the second one finds the row gone, and a third one finds it there
		w.wantNote(number, "| node3 |", "of node4")
		w.rival(number)
		n.look(5 * time.Minute)
		w.wantNote(number, "| node3 | 1 service to create", "of node4")
	})
}

// TestKilledDuringWrite has GitLab show the note late that a process was writing when it ended. The
// next process has looked for it before: one note is left.
func TestKilledDuringWrite(t *testing.T) {
	for _, moves := range []bool{false, true} {
		inWorld(t, func(w *world) {
			n := w.node("node3")
			n.start()
			w.gitlab.Inject(gitlabtest.Fault{Method: http.MethodPost, Path: "notes", Late: 8 * time.Second})
			number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two"})
			n.look(2 * time.Second)
			n.stop()
			plan := "two"
			if moves {
				plan = "three"
				w.gitlab.Push(number, "ada", w.branch("feature", map[string]string{folder + "node3/plan": plan}))
			}
			n.start()
			defer n.stop()
			n.look(10 * time.Minute)
			w.wantNote(number, "| node3 | 1 service to create", "s_"+plan)
		})
	}
}

// TestRelist wants the plan of a merge request that gets another target branch, or is opened
// again: no branch moves.
func TestRelist(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.node("node3")
		n.start()
		defer n.stop()
		base := w.repo.Head()
		head := w.branch("feature", map[string]string{folder + "node3/plan": "two"})
		number := w.gitlab.AddOpen(gitlabtest.Open{Source: "feature", Target: "other", Head: head, Base: base})
		n.look(time.Minute)
		w.gitlab.Retarget(number, "ada", "master", base)
		n.look(2 * time.Hour)
		if note := w.note(number); note != "" {
			t.Errorf("listed without a reason: %s", note)
		}
		w.gitlab.Inject(gitlabtest.Fault{Path: "merge_requests?", Status: http.StatusBadGateway})
		n.worker.Relist()
		n.look(time.Minute)
		w.wantNote(number, "| node3 | 1 service to create", "s_two")
	})
}

// TestClosedMeanwhile closes a merge request before its plan is made, and opens it again.
func TestClosedMeanwhile(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.node("node3")
		n.start()
		defer n.stop()
		w.gitlab.Inject(gitlabtest.Fault{Path: "merge_requests/1", Status: http.StatusBadGateway})
		number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two"})
		n.look(500 * time.Millisecond)
		w.gitlab.CloseMergeRequest(number)
		n.look(time.Minute)
		w.gitlab.Reopen(number)
		n.worker.Relist()
		n.look(time.Minute)
		w.wantNote(number, "| node3 | 1 service to create", "s_two")
	})
}

// TestLostCommit has git not have the commit of a merge request at first, as a replica that lags
// behind. A commit that stays away is not asked for without end.
func TestLostCommit(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.node("node3")
		n.start()
		defer n.stop()
		head := w.branch("feature", map[string]string{folder + "node3/plan": "two"})
		n.lacks = head
		number := w.gitlab.AddOpen(gitlabtest.Open{Source: "feature", Head: head, Base: w.repo.Head()})
		lost := w.gitlab.AddOpen(gitlabtest.Open{Source: "gone", Head: "1234567890123456789012345678901234567890"})
		n.look(10 * time.Second)
		n.lacks = ""
		n.look(time.Hour)
		w.wantNote(number, "| node3 | 1 service to create", "s_two")
		if note := w.note(lost); note != "" {
			t.Errorf("shown: %s", note)
		}
	})
}
