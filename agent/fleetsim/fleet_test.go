package fleetsim_test

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

var update = flag.Bool("update", false, "write the table into docs/fleet-costs.md")

// idle is how long nothing happens. A day is so much longer.
const idle = 20 * time.Minute

// agents gives how many agents there are: AGENTS, or 1,000.
func agents(t *testing.T) int {
	t.Helper()
	text := os.Getenv("AGENTS")
	if text == "" {
		return 1000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1000 {
		t.Fatalf("AGENTS=%s: write a number from 1000 on; fewer say little about the busiest second", text)
	}
	return n
}

// TestFleet has a fleet live through a power failure, an idle time, commits, an outage and a limit
// of GitLab's, counts what that costs, and looks for the busiest second.
func TestFleet(t *testing.T) {
	var made tables
	inWorld(t, agents(t), func(w *world) {
		made.fleet(w)
		made.commits(w)
		made.troubles(w)
		if w.early > 0 {
			t.Errorf("%d requests before the time that GitLab asked their sender to wait", w.early)
		}
		for _, n := range w.nodes {
			if health := n.outbox.Health(); health.Undelivered > 0 {
				t.Fatalf("node %d has undelivered reports: %+v", n.number, health)
			}
		}
	})
	made.tokens(t)
	fmt.Print(made.String())
	made.compare(t, "../../docs/fleet-costs.md")
}

// peaks checks and notes the busiest second; most is in idle fleets' requests a second, 0 for any.
func (m *tables) peaks(w *world, what string, most float64) {
	w.t.Helper()
	peak := float64(w.counts.peak()) / w.mean()
	if most > 0 && peak > most {
		w.t.Errorf("%s: %d requests in the busiest second, %.1f times those of an idle fleet, want at most %.0f", what, w.counts.peak(), peak, most)
	}
	m.busiest = append(m.busiest, busy{what, peak, most})
}

// fleet begins with all agents switched on at the same moment.
func (m *tables) fleet(w *world) {
	w.t.Helper()
	m.agents = w.size
	w.pass(5 * time.Minute)
	m.peaks(w, "all machines start at the same moment: the five minutes after it", 3)
	w.counts.reset()
	w.pass(idle)
	m.peaks(w, "20 minutes without a commit", 2)
	m.note(w, "a day without a commit", float64(24*time.Hour/idle), everyone)
}

// commits pushes what concerns one node, a tenth of them, all and none.
func (m *tables) commits(w *world) {
	w.t.Helper()
	const one = 7
	push := func(what string, concerns func(int) bool) {
		w.counts.reset()
		w.counts.concerned = concerns
		w.commit(concerns)
		w.pass(2 * time.Minute)
		m.peaks(w, what, 0)
	}
	for _, w.spares = range []bool{false, true} {
		push("a commit that concerns one node, `unchanged_statuses: "+strconv.FormatBool(!w.spares)+"`", func(n int) bool { return n == one })
		if senders := len(w.counts.nodes); w.spares && (senders != 1 || w.counts.nodes[one] == 0) {
			w.t.Errorf("%d nodes ask the API because of a commit that concerns node %d", senders, one)
		}
		if !w.spares {
			m.note(w, "a commit of another node", 1, others)
		}
	}
	push("a release to a tenth of the nodes", func(n int) bool { return n%10 == 0 })
	push("a commit that concerns all nodes", func(int) bool { return true })
	m.note(w, "a commit of this node", 1, everyone)
	w.counts.reset()
	made := w.git.add(func(int) bool { return false })
	w.gitlab.AddCommit(made.hash, "feature")
	w.gitlab.AddOpen(gitlabtest.Open{Head: made.hash})
	w.git.ask()
	w.pass(2 * time.Minute)
	m.peaks(w, "a push to a merge request", 0)
	m.note(w, "a push to a merge request of other nodes", 1, everyone)
}

// troubles has GitLab go away, and limit requests, while all nodes are in a rollout.
func (m *tables) troubles(w *world) {
	w.t.Helper()
	rollingOut := func() {
		w.commit(func(int) bool { return true })
		w.pass(interval + rolloutTime/2)
		w.counts.reset()
	}
	rollingOut()
	w.away(refused, false)
	w.pass(5 * time.Minute)
	w.away(badGateway, false)
	w.pass(5 * time.Minute)
	m.peaks(w, "GitLab is away for ten minutes, in the middle of a rollout of all nodes", 0)
	w.counts.reset()
	w.away("", false)
	w.pass(15 * time.Minute)
	m.peaks(w, "the 15 minutes after it", 3)

	rollingOut()
	w.away(tooMany, false)
	w.pass(2 * time.Minute)
	w.away(tooMany, true)
	w.pass(time.Minute)
	w.git.ask() // the outbox has been asked to wait: the list of merge requests has to wait, too
	w.pass(2 * time.Minute)
	m.peaks(w, "five minutes of `429` with `Retry-After: 60`, in the middle of a rollout of all nodes", 0)
	w.counts.reset()
	w.away("", false)
	w.pass(15 * time.Minute)
	m.peaks(w, "the 15 minutes after them", 3)
}
