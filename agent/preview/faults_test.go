package preview_test

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

// TestTwoNodes has nodes write into one note at the same time, with answers that take their
// time. None may lose its row, and there is one note at the end.
func TestTwoNodes(t *testing.T) {
	for seed := range uint64(12) {
		inWorld(t, func(w *world) {
			w.random = rand.New(rand.NewPCG(seed, 1))
			w.delay = func() time.Duration { return time.Duration(w.below(400)) * time.Millisecond }
			number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two", folder + "node4/plan": "three"})
			nodes := []*node{w.node("node3"), w.node("node4")}
			for _, n := range nodes {
				n.start()
				defer n.stop()
			}
			for _, n := range nodes {
				n.worker.Look()
			}
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			w.wantNote(number, "| node3 | 1 service to create", "s_two", "| node4 | 1 service to create", "s_three")
			head := w.branch("feature", map[string]string{folder + "node3/plan": "four", folder + "node4/plan": "five"})
			w.gitlab.Push(number, "ada", head)
			for _, n := range nodes {
				n.worker.Look()
			}
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			w.wantNote(number, "| node3 | 1 service to create", "s_four", "| node4 | 1 service to create", "s_five")
			if len(w.gitlab.Statuses(head).Entries) != 2 {
				t.Errorf("seed %d: %+v", seed, w.gitlab.Statuses(head).Entries)
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestKills ends the process at each of its side effects, before or after the effect, and
// starts it again. There is one note with the right row, and one status, each time.
func TestKills(t *testing.T) {
	for at := 1; ; at++ {
		reached := false
		for _, after := range []bool{false, true} {
			inWorld(t, func(w *world) {
				n := w.node("node3")
				seen, dead := 0, false
				n.cut = func(string) (bool, bool) {
					if seen++; seen == at {
						reached, dead = true, true
						return !after, after
					}
					return dead, false
				}
				n.start()
				number, head := w.open("feature", map[string]string{folder + "node3/plan": "two"})
				n.look(3 * time.Minute)
				n.stop()
				n.cut = nil
				n.start()
				defer n.stop()
				n.look(30 * time.Minute)
				w.wantNote(number, "| node3 | 1 service to create", "s_two")
				if entries := w.gitlab.Statuses(head).Entries; len(entries) != 1 || entries[0].Status != "success" {
					t.Errorf("killed at %d, after %t: %+v", at, after, entries)
				}
			})
		}
		if t.Failed() {
			t.Fatalf("killed at side effect %d", at)
		}
		if !reached {
			if at < 8 {
				t.Errorf("only %d side effects", at-1)
			}
			return
		}
	}
}

// TestFaults has GitLab fail in each way it can, at each kind of request.
func TestFaults(t *testing.T) {
	for name, fault := range map[string]gitlabtest.Fault{
		"429":           {Status: http.StatusTooManyRequests, RetryAfter: 30 * time.Second, Times: 2},
		"502":           {Status: http.StatusBadGateway, Times: 3},
		"401":           {Status: http.StatusUnauthorized, Times: 2},
		"403":           {Status: http.StatusForbidden},
		"cut off":       {Cut: true, Times: 2},
		"a lost answer": {Lost: true},
	} {
		for _, kind := range []string{"GET merge_requests", "GET merge_requests/1/notes", "POST notes", "PUT notes", "POST statuses"} {
			inWorld(t, func(w *world) {
				n := w.node("node3")
				n.start()
				defer n.stop()
				one := fault
				one.Method, one.Path, _ = strings.Cut(kind, " ")
				w.gitlab.Inject(one)
				number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two"})
				n.look(30 * time.Minute)
				head := w.branch("feature", map[string]string{folder + "node3/plan": "three"})
				w.gitlab.Push(number, "ada", head)
				n.look(30 * time.Minute)
				w.wantNote(number, "| node3 | 1 service to create", "s_three")
				if entries := w.gitlab.Statuses(head).Entries; len(entries) != 1 {
					t.Errorf("%s at %s: %+v", name, kind, entries)
				}
			})
			if t.Failed() {
				t.Fatalf("%s at %s", name, kind)
			}
		}
	}
}

// TestLostAnswerAndMoved: a note may be there although its answer is lost. The branch moves to a commit
// that changes nothing for the node before it has looked, and the note must not go on showing the plan.
func TestLostAnswerAndMoved(t *testing.T) {
	for _, kind := range []string{"POST", "PUT"} {
		inWorld(t, func(w *world) {
			number, _ := w.open("feature", map[string]string{folder + "node3/plan": "two", folder + "node4/plan": "two"})
			if kind == "PUT" { // the note is there already, with another node's row
				other := w.node("node4")
				other.start()
				other.look(time.Hour)
				other.stop()
			}
			n := w.node("node3")
			n.start()
			defer n.stop()
			w.gitlab.Inject(gitlabtest.Fault{Lost: true, Method: kind, Path: "notes"})
			n.look(5 * time.Second)
			w.wantNote(number, "| node3 | 1 service to create")
			head := w.branch("feature", map[string]string{"README.md": "two"})
			w.gitlab.Push(number, "ada", head)
			n.look(30 * time.Minute)
			w.wantNote(number, "| node3 | the merge request changes nothing that this node reads")
		})
	}
}

// TestDeaths wants a merge request over which the process dies twice not to be read again.
func TestDeaths(t *testing.T) {
	inWorld(t, func(w *world) {
		number, head := w.open("feature", map[string]string{folder + "node3/plan": "two"})
		n := w.node("node3")
		for range 2 {
			n.planning = make(chan struct{}, 10)
			dead := false
			n.cut = func(string) (bool, bool) { return dead, false }
			n.start()
			n.worker.Look()
			<-n.planning
			dead = true
			n.stop()
		}
		n.planning, n.cut = nil, nil
		n.start()
		defer func() { n.stop() }()
		n.look(10 * time.Minute)
		if note := w.note(number); note != "" || !strings.Contains(n.log.String(), "the agent ended while it read a merge request") {
			t.Errorf("%s read again: %s\n%s", head, note, n.log.String())
		}
		head = w.branch("feature", map[string]string{folder + "node3/plan": "three"})
		w.gitlab.Push(number, "ada", head)
		n.look(10 * time.Minute)
		w.wantNote(number, "s_three")
	})
}
