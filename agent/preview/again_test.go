package preview_test

import (
	"strings"
	"testing"
	"time"
)

// TestAgain has a merge request whose plan cannot be made for a reason that may pass. The others
// do not wait for it. Its note says why there is no plan, and the plan is tried again.
func TestAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.node("node3")
		n.away = true
		n.start()
		defer func() { n.stop() }()
		number, head := w.open("away", map[string]string{folder + "node3/plan": "away"})
		n.look(time.Second)
		other, _ := w.open("other", map[string]string{folder + "node3/plan": "three"})
		n.look(time.Second)
		w.wantNote(other, "s_three")
		n.look(2 * time.Minute)
		const row = "| node3 | no plan: the registry does not answer | "
		w.wantNote(number, row)
		if entries := w.gitlab.Statuses(head).Entries; len(entries) != 1 || entries[0].Status != "failed" {
			t.Errorf("%+v", entries)
		}
		n.look(10 * time.Minute)
		since, plans, note := len(w.gitlab.Requests()), n.plans, w.note(number)
		n.look(24 * time.Hour) // the outbox asks for the token, twice
		if calls, list := w.calls(since); calls > 26 || n.plans-plans < 23 || n.plans-plans > 24 {
			t.Errorf("%d plans, %d requests in a day:\n%s", n.plans-plans, calls, list)
		}
		if w.note(number) != note {
			t.Errorf("the note changed without a reason:\n%s\n%s", note, w.note(number))
		}
		n.stop()
		plans = n.plans
		n.start()
		n.look(time.Minute)
		if n.plans > plans+1 {
			t.Errorf("%d plans after a restart", n.plans-plans)
		}
		w.wantNote(number, row)
		n.away = false
		n.look(time.Hour)
		w.wantNote(number, "s_away")
		if entries := w.gitlab.Statuses(head).Entries; len(entries) != 2 || entries[1].Status != "success" {
			t.Errorf("%+v", entries)
		}
		since, plans = len(w.gitlab.Requests()), n.plans
		n.look(3 * time.Hour)
		if calls, list := w.calls(since); calls > 0 || n.plans > plans {
			t.Errorf("%d plans after the end:\n%s", n.plans-plans, list)
		}
	})
}

// TestAgainMoved wants the stale mark, the reason, and the plan of the last commit in turn.
func TestAgainMoved(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.node("node3")
		n.away = true
		n.start()
		defer n.stop()
		number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two"})
		n.look(10 * time.Minute)
		w.gitlab.Push(number, "ada", w.branch("feature", map[string]string{folder + "node3/plan": "away"}))
		n.look(10 * time.Second)
		w.wantNote(number, "**stale: the branch moved.** 1 service to create", "the registry does not answer", "s_two")
		n.look(5 * time.Minute)
		w.wantNote(number, "| node3 | no plan: the registry does not answer | ")
		w.gitlab.Push(number, "ada", w.branch("feature", map[string]string{folder + "node3/plan": "three"}))
		n.look(time.Minute)
		w.wantNote(number, "| node3 | 1 service to create | ", "s_three")
		w.gitlab.Push(number, "ada", w.branch("feature", map[string]string{folder + "node3/plan": "away"}))
		n.look(time.Hour / 2)
		w.gitlab.CloseMergeRequest(number)
		n.look(3 * time.Hour)
		plans, note := n.plans, w.note(number)
		n.away = false
		n.look(3 * time.Hour)
		if n.plans > plans || w.note(number) != note || !strings.Contains(note, "no plan") {
			t.Errorf("%d plans after the end: %s", n.plans-plans, w.note(number))
		}
	})
}

// TestAgainKills ends the process at each side effect while the plan cannot be made. The reason is
// shown nevertheless, and afterwards the plan.
func TestAgainKills(t *testing.T) {
	for at, over := 1, false; !over; at += 2 {
		inWorld(t, func(w *world) {
			n := w.node("node3")
			n.away = true
			seen, dead := 0, false
			n.cut = func(string) (bool, bool) {
				if seen++; seen == at {
					dead = true
					return at%4 == 1, at%4 == 3
				}
				return dead, false
			}
			n.start()
			number, head := w.open("feature", map[string]string{folder + "node3/plan": "away"})
			n.look(3 * time.Minute)
			n.stop()
			over, n.cut = !dead, nil
			n.start()
			defer n.stop()
			n.look(10 * time.Minute)
			w.wantNote(number, "| node3 | no plan: the registry does not answer | ")
			n.away = false
			n.look(2 * time.Hour)
			w.wantNote(number, "| node3 | 1 service to create", "s_away")
			if entries := w.gitlab.Statuses(head).Entries; len(entries) != 2 || entries[1].Status != "success" {
				t.Errorf("killed at %d: %+v", at, entries)
			}
		})
		if t.Failed() {
			t.Fatalf("killed at side effect %d", at)
		}
	}
}
