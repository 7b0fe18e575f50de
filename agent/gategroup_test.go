package agent_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
)

// groupConfig is a config.yml of a blue-green rollout in which this node, node3, is
// green or not; node1 is a primary, node2 green.
func groupConfig(role string, lines ...string) string {
	config := nodesConfig(append([]string{"strategy: blue-green"}, lines...)...)
	return strings.Replace(config, "{name: node3, context: c3, stack: s, role: primary}", "{name: node3, context: c3, stack: s, role: "+role+"}", 1)
}

const goesBack = "rollback: {automatic: true}"

// inGroup is a world whose agent runs a node of a group that has rolled out its first
// commit; the second one is there, and this node has rolled it out alone.
func inGroup(t *testing.T, test func(w *world, first, second string), lines ...string) {
	t.Helper()
	inWorld(t, func(w *world) {
		w.others = &neighbours{}
		first := w.commit("1", configFile, groupConfig("secondary", lines...))
		w.start()
		w.others.says(first, "node2", gitlab.Success)
		w.others.says(first, "node1", gitlab.Success)
		w.poll()
		if sync := w.wantLast(first, record.Succeeded); sync.Group == nil || !sync.Group.Complete {
			w.t.Fatalf("the group is %+v", sync.Group)
		}
		second := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.others.says(second, "node1", gitlab.Pending)
		w.poll()
		w.wantLast(second, record.Succeeded)
		w.wantImage("app:2")
		test(w, first, second)
	})
}

func (w *world) wantImage(image string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.live["s_web"].TaskTemplate.ContainerSpec.Image; !strings.HasPrefix(got+"@", image+"@") && !strings.HasSuffix(got, image) {
		w.t.Errorf("%s runs, want %s", got, image)
	}
}

// Greens roll without waiting, and look at the others until all have succeeded.
func TestGreenIsWatchful(t *testing.T) {
	inGroup(t, func(w *world, _, second string) {
		w.others.requests()
		for range 3 {
			w.poll()
		}
		if n := w.others.requests(); n < 3 || n > 4 {
			w.t.Errorf("three looks asked GitLab %d times", n)
		}
		w.others.says(second, "node1", gitlab.Success)
		w.others.says(second, "node2", gitlab.Success)
		w.poll()
		w.others.requests()
		w.others.says(second, "node1", gitlab.Failed) // after the end: somebody tries it again
		w.poll()
		w.halt()
		w.start()
		w.poll()
		if n := w.others.requests(); n != 0 {
			w.t.Errorf("a complete group costs %d requests", n)
		}
		w.wantLast(second, record.Succeeded)
		w.wantImage("app:2")
	}, goesBack)
}

// When one fails, those that have rolled go back by themselves, and roll again with
// the next commit, also where that changes nothing of theirs.
func TestGroupGoesBack(t *testing.T) {
	for _, node := range []string{"node1", "node2"} {
		inGroup(t, func(w *world, first, second string) {
			w.others.says(second, node, gitlab.Running)
			w.poll()
			w.wantLast(second, record.Succeeded)
			w.others.says(second, node, gitlab.Failed)
			w.poll()
			sync := w.wantLast(second, record.RolledBack)
			if taken := sync.Rollback; taken == nil || !taken.Auto || taken.Commit != first || taken.Reason != node+" failed with this commit" {
				w.t.Errorf("went back as %+v", taken)
			}
			w.wantImage("app:1")
			if next := report.NextStep(sync); !strings.HasPrefix(next, "fix "+node+"; then `agent retry`") {
				w.t.Errorf("what to do: %s", next)
			}
			w.told(second, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed)
			for range 3 {
				w.poll()
			}
			if again := w.last(); again.ID != sync.ID {
				w.t.Errorf("it did not stay: %+v", again)
			}
			third := w.commit("3", "README.md", "no word of node3\n")
			w.poll()
			w.wantLast(third, record.Succeeded)
			w.wantImage("app:2")
			if group := w.last().Group; group == nil || group.Complete || group.Failed != "" {
				w.t.Errorf("the group of the third is %+v", group)
			}
			w.others.says(third, node, gitlab.Failed)
			w.poll()
			w.wantLast(third, record.RolledBack)
			w.wantImage("app:1")
		}, goesBack)
	}
}

// It goes back while git is away, and after a restart; not while GitLab is.
func TestGroupGoesBackInTrouble(t *testing.T) {
	inGroup(t, func(w *world, _, second string) {
		w.others.says(second, "node1", gitlab.Failed)
		w.others.fail(errors.New("GitLab does not answer"))
		w.poll()
		w.wantLast(second, record.Succeeded)
		w.halt()
		w.set(func() { w.selectErr = errors.New("git does not answer") })
		w.others.fail(nil)
		w.start()
		w.wantLast(second, record.RolledBack)
		w.wantImage("app:1")
	}, goesBack)
}

// A newer commit makes a node give up the one before: that is no failure.
func TestCanceledIsNoReasonToGoBack(t *testing.T) {
	inGroup(t, func(w *world, _, second string) {
		w.others.says(second, "node1", gitlab.Canceled)
		w.poll()
		w.poll()
		w.wantLast(second, record.Succeeded)
	}, goesBack)
}

// Without rollback.automatic, or with nothing to go back to, people are told, once.
func TestGroupThatStaysIsTold(t *testing.T) {
	stays := func(w *world, commit string) {
		w.t.Helper()
		w.others.says(commit, "node1", gitlab.Failed)
		for range 3 {
			w.poll()
		}
		sync := w.wantLast(commit, record.Succeeded)
		if n := strings.Count(strings.Join(sync.Warnings, "\n"), "node1 failed with this commit, which still runs here"); n != 1 || sync.Group.Failed != "node1" {
			w.t.Errorf("%d warnings: %v; %+v", n, sync.Warnings, sync.Group)
		}
		if status := w.desk.Status(); !strings.HasPrefix(report.NextFor(&status), "fix node1, which failed") {
			w.t.Errorf("what to do: %s", report.NextFor(&status))
		}
		w.others.says(commit, "node1", gitlab.Success)
		w.others.says(commit, "node2", gitlab.Success)
		w.poll()
		if sync := w.wantLast(commit, record.Succeeded); !sync.Group.Complete || sync.Group.Failed != "" {
			w.t.Errorf("mended, the group is %+v", sync.Group)
		}
	}
	inGroup(t, func(w *world, _, second string) { stays(w, second); w.wantImage("app:2") })
	inWorld(t, func(w *world) {
		w.others = &neighbours{}
		commit := w.commit("1", configFile, groupConfig("secondary", goesBack))
		w.start()
		w.wantLast(commit, record.Succeeded)
		stays(w, commit)
	})
	inMailWorld(t, "", func(w *world, box *mailbox) {
		w.others = &neighbours{}
		commit := w.commit("2", configFile, groupConfig("secondary")+"notifications: {email: [ops@coin.example]}\n")
		w.start()
		w.wantLast(commit, record.Succeeded)
		stays(w, commit)
		box.wants(w.t, "the nodes do not run the same release, release 1")
	})
}

// A green does not begin when another node has failed already, unless a person says
// so; then only what fails from now on is a reason to go back.
func TestGroupIsTriedAgain(t *testing.T) {
	inGroup(t, func(w *world, _, second string) {
		w.others.says(second, "node1", gitlab.Failed)
		w.poll()
		w.wantLast(second, record.RolledBack)
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			w.t.Fatal(err)
		}
		w.poll()
		w.wantLast(second, record.Succeeded)
		w.wantImage("app:2")
		w.pass(time.Minute)
		w.others.says(second, "node1", gitlab.Failed)
		w.poll()
		w.wantLast(second, record.RolledBack)

		third := w.commit("3", nodeDir+"node.env", "TAG=3\n")
		w.others.says(third, "node2", gitlab.Failed)
		w.poll()
		sync := w.wantLast(third, record.Waiting)
		if !strings.Contains(sync.Waiting, "stopped: node2 failed with this commit") || !strings.HasSuffix(sync.Waiting, "or by `agent sync`") {
			w.t.Errorf("waiting: %s", sync.Waiting)
		}
		w.others.says(third, "node2", gitlab.Success)
		w.poll()
		w.wantLast(third, record.Succeeded)
	}, goesBack)
}

// A group that never became complete goes back to where it began, however many
// commits have come.
func TestGroupGoesBackToWhereItBegan(t *testing.T) {
	inGroup(t, func(w *world, first, _ string) {
		third := w.commit("3", nodeDir+"node.env", "TAG=3\n")
		w.poll()
		w.wantLast(third, record.Succeeded)
		fourth := w.commit("4", "README.md", "no word of node3\n")
		w.poll()
		w.wantLast(fourth, record.Succeeded)
		w.others.says(fourth, "node1", gitlab.Failed)
		w.poll()
		if taken := w.wantLast(fourth, record.RolledBack).Rollback; taken.Commit != first {
			w.t.Errorf("went back to %s", taken.Commit)
		}
		w.wantImage("app:1")
	}, goesBack)
}

// That the one before was complete is seen, too, when the next commit is there first.
func TestGroupThatEndedUnseen(t *testing.T) {
	inGroup(t, func(w *world, _, second string) {
		w.others.says(second, "node1", gitlab.Success)
		w.others.says(second, "node2", gitlab.Success)
		third := w.commit("3", nodeDir+"node.env", "TAG=3\n")
		w.poll()
		w.wantLast(third, record.Succeeded)
		w.others.says(third, "node1", gitlab.Failed)
		w.poll()
		if taken := w.wantLast(third, record.RolledBack).Rollback; taken.Commit != second {
			w.t.Errorf("went back to %s", taken.Commit)
		}
		w.wantImage("app:2")
	}, goesBack)
}

// The primaries follow when a person agrees: after the greens have been seen.
func TestPrimariesWaitForApproval(t *testing.T) {
	inWorld(t, func(w *world) {
		w.others = &neighbours{}
		commit := w.commit("1", configFile, groupConfig("primary", "blue_green: {approval: true}"))
		w.others.says(commit, "node1", gitlab.Success)
		w.start()
		w.waits("waiting for node2")
		approve := request.Approve{Commit: commit, Reason: "the greens look well"}
		if _, err := w.desk.Approve(person, approve); err == nil {
			w.t.Error("approved before the greens were seen")
		}
		w.others.says(commit, "node2", gitlab.Success)
		w.poll()
		w.waits("node2 succeeded; this node follows by `agent approve")
		w.pass(5 * time.Minute)
		w.halt()
		w.start()
		if next := report.NextStep(w.waits("this node follows by `agent approve")); !strings.HasPrefix(next, "`agent approve 0000000000") {
			w.t.Errorf("what to do: %s", next)
		}
		if _, err := w.desk.Approve(person, approve); err != nil {
			w.t.Fatal(err)
		}
		w.poll()
		sync := w.wantLast(commit, record.Succeeded)
		if sync.Approval == nil || sync.Approval.Reason != approve.Reason {
			w.t.Errorf("approved as %+v", sync.Approval)
		}
	})
}

// What was approved before the greens were seen is no agreement to follow them.
func TestApprovalOfBeforeIsNoAgreement(t *testing.T) {
	inWorld(t, func(w *world) {
		w.others = &neighbours{}
		commit := w.commit("1", configFile, groupConfig("primary", "approval_required: true", "blue_green: {approval: true}"))
		w.others.says(commit, "node1", gitlab.Success)
		w.start()
		if sync := w.waits("approval is required"); strings.Contains(sync.Waiting, "node2") {
			w.t.Errorf("asked for the others while a person is waited for: %s", sync.Waiting)
		}
		approve := request.Approve{Commit: commit, Reason: "it may come"}
		if _, err := w.desk.Approve(person, approve); err != nil {
			w.t.Fatal(err)
		}
		w.poll()
		w.waits("waiting for node2")
		w.others.says(commit, "node2", gitlab.Success)
		for range 3 {
			w.poll()
			w.waits("this node follows by `agent approve")
		}
		approve.Reason = "the greens look well"
		if _, err := w.desk.Approve(person, approve); err != nil {
			w.t.Fatal(err)
		}
		w.poll()
		w.wantLast(commit, record.Succeeded)
	})
}

func TestBlueGreenWithoutGitLab(t *testing.T) {
	inWorld(t, func(w *world) {
		w.commit("1", configFile, groupConfig("secondary"))
		w.start()
		w.waits("waiting for node1, node2, but cannot know how they do: no GitLab is configured")
	})
}
