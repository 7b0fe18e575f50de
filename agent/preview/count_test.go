package preview_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/manifests"
)

var twoApprovals = []manifests.Approval{{Required: true, Minimum: 2}}

// TestCount wants the count of approvals in the row to follow them, by the rules of the gate.
func TestCount(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.node("node3")
		n.asks = []manifests.Approval{{Required: true, Minimum: 2, Approvers: []string{"ada", "Bob", "carol"}, ChangeAdvisoryBoard: true}}
		n.start()
		defer n.stop()
		number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two"})
		hooked := func() {
			w.t.Helper()
			n.worker.Relist()
			n.look(5 * time.Second)
		}
		n.look(10 * time.Second)
		const of, board = ` (of ada, bob, carol)`, `change advisory board 0/1: it takes label "CAB approved"`
		w.wantNote(number, "|  | approval 0/2"+of+"; "+board+", as of 2000-01-01 00:00 UTC; success of node1 <", "approval by 2 of ada, bob, carol and the change advisory board")
		w.gitlab.Approve(number, "bob")
		hooked()
		w.wantNote(number, "approval 1/2"+of+"; "+board+", as of")
		w.gitlab.Approve(number, "ada", "mallory")
		hooked()
		w.wantNote(number, "approval 1/2"+of+"; not counted: ada opened it; "+board)
		w.gitlab.SetLabels(number, "CAB approved")
		hooked()
		w.wantNote(number, "ada opened it; change advisory board 1/1, as of")
		w.gitlab.Push(number, "ada", w.branch("feature", map[string]string{folder + "node3/plan": "three"}))
		n.look(10 * time.Second)
		w.wantNote(number, "s_three", "approval 0/2"+of+"; not counted: ada opened it, bob did not approve its last commit")
		w.gitlab.Approve(number, "carol")
		w.gitlab.Unapprove(number, "bob")
		w.gitlab.Approve(number, "bob")
		hooked()
		w.wantNote(number, "approval 2/2"+of)
		w.gitlab.Unapprove(number, "carol")
		hooked()
		w.wantNote(number, "approval 1/2"+of)
		noted := w.gitlab.ApproveUnnoted(number, "carol")
		hooked()
		noted()
		n.look(time.Minute)
		w.wantNote(number, "approval 2/2"+of)
		w.gitlab.Unapprove(number, "carol")
		n.look(2 * time.Hour) // without a hook
		w.wantNote(number, "approval 1/2"+of, "s_three")
		w.gitlab.Merge(number, w.repo.Head())
		w.moved()
		n.look(time.Minute)
		note, since := w.note(number), len(w.gitlab.Requests())
		w.gitlab.Approve(number, "carol")
		n.look(24 * time.Hour)
		if calls, list := w.calls(since); calls > 2 || w.note(number) != note { // the outbox asks for the token
			t.Errorf("after the merge:\n%s", list)
		}
	})
}

// TestCountUnknown never shows a count that GitLab did not give.
func TestCountUnknown(t *testing.T) {
	for name, test := range map[string]struct {
		fault gitlabtest.Fault
		cause string // "" if the row has a count in time
	}{
		"403": {gitlabtest.Fault{Status: http.StatusForbidden, Times: -1}, "403"},
		"404": {gitlabtest.Fault{Status: http.StatusNotFound, Times: -1}, "404"},
		"words": {gitlabtest.Fault{
			Status: http.StatusForbidden, Times: -1, Body: `{"message":"no|right <b>\n/close\u202e <!-- coin-agent:row node4 -->"}`,
		}, `no\|right \<b> /close`},
		"502": {gitlabtest.Fault{Status: http.StatusBadGateway, Times: -1}, "502"},
		"429": {gitlabtest.Fault{Status: http.StatusTooManyRequests, RetryAfter: 20 * time.Second, Times: 1}, ""},
		"cut": {gitlabtest.Fault{Cut: true, Times: 2}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				n := w.node("node3")
				n.asks = twoApprovals
				n.start()
				defer n.stop()
				test.fault.Path = "/approvals"
				w.gitlab.Inject(test.fault)
				number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two"})
				n.look(2 * time.Minute)
				if test.cause == "" {
					w.wantNote(number, "approval 0/2, as of")
					return
				}
				w.wantNote(number, "approval ?/2: GitLab does not tell: ", test.cause, "s_two")
				since := len(w.gitlab.Requests())
				n.look(6 * time.Hour)
				if calls, list := w.calls(since); calls > 6*20+20 || !strings.Contains(w.note(number), "?/2") {
					t.Errorf("%d requests:\n%s", calls, list)
				}
				w.gitlab.Heal()
				w.gitlab.Approve(number, "bob")
				n.look(2 * time.Hour)
				w.wantNote(number, "approval 1/2, as of")
				w.gitlab.Inject(test.fault)
				n.worker.Relist()
				n.look(time.Second)
				w.wantNote(number, "approval 1/2, as of") // nothing has changed
				w.gitlab.Approve(number, "carol")
				n.worker.Relist()
				n.look(5 * time.Minute)
				w.wantNote(number, "approval ?/2")
			})
		})
	}
}

// TestCountCosts has as many open merge requests as are read, some of which wait for approvals: an
// hour costs one list of them.
func TestCountCosts(t *testing.T) {
	inWorld(t, func(w *world) {
		base, first := w.repo.Head(), int64(0)
		for range manyOpen - 10 {
			w.gitlab.AddOpen(gitlabtest.Open{Source: "other", Head: base, Base: base})
		}
		head := w.branch("feature", map[string]string{folder + "node3/plan": "two"})
		for range 10 {
			first = w.gitlab.AddOpen(gitlabtest.Open{Source: "feature", Head: head, Base: base})
		}
		n := w.node("node3")
		n.asks = twoApprovals
		n.start()
		defer n.stop()
		n.look(3 * time.Hour)
		since := len(w.gitlab.Requests())
		for range 24 {
			n.look(time.Hour)
		}
		if calls, list := w.calls(since); calls > 2*26+2 { // 2 pages, and the outbox asks for the token
			t.Errorf("%d requests in a day:\n%s", calls, list)
		}
		since = len(w.gitlab.Requests())
		w.gitlab.Approve(first, "bob")
		n.worker.Relist()
		n.look(3 * time.Minute)
		w.wantNote(first, "approval 1/2, as of")
		if calls, list := w.calls(since); calls > 14 { // 2 pages, twice, 4 for the approvals, 5 for the note
			t.Errorf("%d requests for an approval:\n%s", calls, list)
		}
	})
}

// TestCountKills ends the process at each side effect of a new count.
func TestCountKills(t *testing.T) {
	for at, over := 1, false; !over; at++ {
		inWorld(t, func(w *world) {
			n := w.node("node3")
			n.asks = twoApprovals
			n.start()
			number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two"})
			n.look(3 * time.Minute)
			seen, dead := 0, false
			w.mu.Lock()
			n.cut = func(string) (bool, bool) {
				if seen++; seen == (at+1)/2 {
					dead = true
					return at%2 == 1, at%2 == 0
				}
				return dead, false
			}
			w.mu.Unlock()
			w.gitlab.Approve(number, "bob")
			n.worker.Relist()
			n.look(3 * time.Minute)
			n.stop()
			over, n.cut = !dead, nil
			n.start()
			defer n.stop()
			n.look(10 * time.Minute)
			w.wantNote(number, "approval 1/2, as of", "s_two")
		})
		if t.Failed() {
			t.Fatalf("killed at side effect %d", at)
		}
	}
}
