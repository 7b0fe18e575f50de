package main

import (
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy/swarmtest"
)

// TestNodes rolls out over several nodes with two engines between them.
func TestNodes(t *testing.T) {
	t.Parallel()
	engines := []*swarmtest.Swarm{swarmtest.Engine(t), swarmtest.Own(t)}
	for _, engine := range engines {
		engine.Image(t, imageA, imageB)
	}
	t.Run("sequential", func(t *testing.T) {
		t.Parallel()
		sequential(t, engines)
	})
	t.Run("blue-green", func(t *testing.T) {
		t.Parallel()
		blueGreen(t, engines)
	})
}

// sequential is two nodes, of which node4 comes after node3 whatever happens to it.
func sequential(t *testing.T, engines []*swarmtest.Swarm) {
	t.Helper()
	f := newFleet(t, engines, "node3", "node4")
	f.deployment = "order: [node3, node4]"
	first := f.commit("first")
	node3, node4 := f.node("node3"), f.node("node4")
	node4.start() // it sees the commit first
	node4.holds(first, "waiting for node3")
	node3.start()
	f.all(first, record.Succeeded)
	f.inTurn(first, "node4 pending", "node3 success", "node4 running", "node4 success")

	f.step("slow, and killed in the middle", func() {
		f.release("2")
		f.compose["node3"] = slowCompose
		commit := f.commit("slow")
		node3.until("in verify", func(s report.Status) bool { return s.Sync.Commit == commit && s.Sync.Stage == "verify" })
		node3.kill()
		node4.holds(commit, "waiting for node3")
		node3.start()
		f.all(commit, record.Succeeded)
		f.inTurn(commit, "node3 running", "node3 success", "node4 running", "node4 success")
		node4.runs("2")
	})
	f.step("failed, then mended by a commit", func() {
		f.release("nowhere")
		broken := f.commit("an image that nobody has")
		node3.await(broken, record.Failed)
		node4.holds(broken, "stopped: node3 failed with this commit")
		f.release("1")
		fix := f.commit("the fix")
		f.all(fix, record.Succeeded)
		f.inTurn(broken, "node3 failed", "node4 canceled")
		f.inTurn(fix, "node3 success", "node4 running", "node4 success")
	})
}

// blueGreen is two greens, node3 and node4, and two primaries that follow them; all go
// back when one fails. A pipeline waits for them by ci/wait.yml.
func blueGreen(t *testing.T, engines []*swarmtest.Swarm) {
	t.Helper()
	f := newFleet(t, engines, "node1", "node2", "node3", "node4")
	f.roles = map[string]string{"node1": ", role: primary", "node2": ", role: primary", "node3": ", role: secondary", "node4": ", role: secondary"}
	f.deployment = "strategy: blue-green\n  blue_green: {soak: 2s}\n  rollback: {automatic: true}"
	first := f.commit("first")
	node2, node3, node4 := f.node("node2"), f.node("node3"), f.node("node4")
	f.waitsForFour(t, first)
	f.greensFirst(first, 2*time.Second)

	f.step("a green fails", func() {
		f.release("2")
		f.tags["node4"] = "nowhere"
		node4.stop() // until the other one has rolled
		broken := f.commit("an image that node4 lacks")
		node3.await(broken, record.Succeeded)
		node3.runs("2")
		f.node("node1").holds(broken, "waiting for node")
		node4.start()
		node4.await(broken, record.RolledBack)
		status := node3.await(broken, record.RolledBack)
		if taken := status.Sync.Rollback; taken.Commit != first || taken.Reason != "node4 failed with this commit" {
			node3.t.Errorf("node3 went back as %+v", taken)
		}
		f.node("node1").holds(broken, "stopped: node")
		node2.holds(broken, "stopped: node")
		f.each(func(node *lab) { node.runs("1") })
		f.inTurn(broken, "node3 success", "node4 failed", "node3 failed")
		p, script := f.job(broken, "5m")
		p.want(p.start(script)(), exitError, "error: node4: failed: ", "coin-test/app:nowhere", "error: node3: failed: ")
	})
	f.step("a commit that needs an approval", f.waitsForApproval)
}

// greensFirst checks that the greens rolled before the primaries, the soak time
// before, and the primaries one after the other.
func (f *nodeLabs) greensFirst(commit string, soak time.Duration) {
	f.t.Helper()
	f.inTurn(commit, "node3 success", "node1 running", "node1 success", "node2 running", "node2 success")
	f.inTurn(commit, "node4 success", "node1 running")
	var green, primary time.Time
	for _, post := range f.pair[0].gitlab.Statuses(commit).Posts {
		switch strings.TrimPrefix(post.Name, "coin-agent/sandbox/") + " " + post.State {
		case "node3 success", "node4 success":
			green = post.Time
		case "node1 running":
			primary = post.Time
		}
	}
	if waited := primary.Sub(green); waited < soak {
		f.t.Errorf("the first primary began %s after the greens", waited)
	}
}
