package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// A primary that waits itself, for the soak time or a person, is no reason for those
// behind it to fail: that would take the whole group back.
func TestWaitingPrimaryIsWaitedFor(t *testing.T) {
	inOrder(t, func(w *world) {
		commit := w.revision.Commit
		w.others.says(commit, "node2", gitlab.Success)
		w.others.says(commit, "node1", gitlab.Pending)
		w.start()
		w.pass(20 * time.Minute)
		w.waits("waiting for node1")
		w.others.says(commit, "node1", gitlab.Running)
		w.pass(7 * time.Minute) // a look sees the state, and one after five minutes that the time is over
		w.wantLast(commit, record.Failed)
	}, "strategy: blue-green", "order_timeout: 5m", "blue_green: {soak: 15m}")
}

// A node that has left a group does not roll back with it, from the commit after the one that
// ends the group.
func TestGroupThatIsNoMore(t *testing.T) {
	for _, other := range []string{"TAG=3\n", "TAG=2\n"} { // with and without something to do
		inGroup(t, func(w *world, _, _ string) {
			third := w.commit("3", configFile, nodesConfig("strategy: parallel", goesBack))
			w.others.says(third, "node1", gitlab.Success)
			w.others.says(third, "node2", gitlab.Success)
			w.poll()
			w.wantLast(third, record.Succeeded)
			fourth := w.commit("4", nodeDir+"node.env", other)
			w.poll()
			w.wantLast(fourth, record.Succeeded)
			w.others.says(fourth, "node1", gitlab.Failed)
			w.poll()
			w.wantLast(fourth, record.Succeeded)
		}, goesBack)
	}
}

// A commit that ends its group rolls back with it: no commit leaves the nodes that judge it.
func TestGroupIsNotLeftBeforehand(t *testing.T) {
	inGroup(t, func(w *world, _, _ string) {
		third := w.commit("3", configFile, nodesConfig("strategy: parallel", goesBack), nodeDir+"node.env", "TAG=3\n")
		w.poll()
		if sync := w.wantLast(third, record.Succeeded); strings.Join(sync.Loosens, ", ") != "leaves the group of node1, node2" {
			w.t.Errorf("loosens %q", sync.Loosens)
		}
		w.others.says(third, "node1", gitlab.Failed)
		w.poll()
		w.wantLast(third, record.RolledBack)
		w.wantImage("app:1")
	}, goesBack)
}

// What keeps a node from beginning for a moment is no failure of the release: nobody
// goes back for it.
func TestHiccupIsNoFailureOfTheGroup(t *testing.T) {
	inWorld(t, func(w *world) {
		w.others = &neighbours{}
		commit := w.commit("1", configFile, groupConfig("primary"))
		w.start()
		w.waits("waiting for node2")
		w.set(func() { w.engineErr = errors.New("the engine is away") })
		w.pass(5 * time.Minute)
		if sync := w.wantLast(commit, record.Failed); !sync.Transient {
			w.t.Errorf("not tried again: %+v", sync)
		}
		w.toldInOrder(commit, gitlab.Pending)
		w.set(func() { w.engineErr = nil })
		w.others.says(commit, "node1", gitlab.Success)
		w.others.says(commit, "node2", gitlab.Success)
		w.pass(10 * time.Minute)
		w.wantLast(commit, record.Succeeded)
		w.toldInOrder(commit, gitlab.Pending, gitlab.Running, gitlab.Success)
	})
}

// A GitLab that is away at the moment does not undo a person's word.
func TestAgreementOutlivesAHiccup(t *testing.T) {
	inWorld(t, func(w *world) {
		w.others = &neighbours{}
		commit := w.commit("1", configFile, groupConfig("primary", "blue_green: {approval: true}"))
		w.others.says(commit, "node1", gitlab.Success)
		w.others.says(commit, "node2", gitlab.Success)
		w.start()
		w.waits("this node follows by `agent approve")
		w.others.fail(errors.New("GitLab does not answer"))
		if _, err := w.desk.Approve(person, request.Approve{Commit: commit, Reason: "the greens look well"}); err != nil {
			w.t.Fatal(err)
		}
		w.poll()
		w.waits("cannot ask GitLab")
		w.others.fail(nil)
		w.poll()
		w.wantLast(commit, record.Succeeded)
	})
}

// The node that fails goes back as far as the others do: past what the group never
// completed.
func TestFailedNodeGoesBackAsFarAsItsGroup(t *testing.T) {
	inGroup(t, func(w *world, first, _ string) {
		w.breaks("3")
		third := w.commit("3", nodeDir+"node.env", "TAG=3\n")
		w.poll()
		sync := w.last()
		if taken := sync.Rollback; sync.Commit != third || taken == nil || taken.Commit != first {
			w.t.Errorf("%s went back as %+v", sync.Commit, taken)
		}
		w.wantImage("app:1")
	}, goesBack)
	inGroup(t, func(w *world, _, second string) { // complete, it is a node like others
		w.others.says(second, "node1", gitlab.Success)
		w.others.says(second, "node2", gitlab.Success)
		w.poll()
		w.breaks("2")
		w.set(func() { w.live = nil })
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			w.t.Fatal(err)
		}
		if taken := w.last().Rollback; taken == nil || taken.Commit != second {
			w.t.Errorf("went back as %+v", taken)
		}
	}, goesBack)
}

// A GitLab that tells without end, page by page, holds no look up for long.
func TestOrderOfAGitLabThatDoesNotEnd(t *testing.T) {
	inOrder(t, func(w *world) {
		w.others.hangs = true
		w.start()
		w.pass(2 * time.Minute)
		w.waits("cannot ask GitLab about node1, node2: ")
		if gaps := w.gaps(); len(gaps) == 0 {
			w.t.Error("there was one look")
		}
	})
}

// That not all have succeeded is in the status of those that have.
func TestStatusOfAnOpenGroup(t *testing.T) {
	inGroup(t, func(w *world, _, second string) {
		wants := func(words string) {
			w.t.Helper()
			w.poll()
			if status := w.desk.Status(); status.Group != words || !status.InSync {
				w.t.Errorf("in sync: %v; the group: %q, want %q", status.InSync, status.Group, words)
			}
		}
		wants("not complete: node1 says pending")
		w.others.says(second, "node1", gitlab.Success)
		wants("not complete: node2 says nothing yet: no agent has reported this commit for it")
		w.others.fail(errors.New("GitLab is away"))
		wants("cannot ask GitLab for the other nodes' statuses: GitLab is away")
		w.others.fail(nil)
		w.others.says(second, "node2", gitlab.Success)
		wants("")
	}, goesBack)
}

// What is being rolled out comes to its end, proven or taken back, before a newer
// commit that waits at a gate.
func TestHeldCommitOvertakesNothing(t *testing.T) {
	for name, lines := range map[string]string{
		"approval":    "deployment: {rollback: {automatic: true}}\napproval: {required: true}\n",
		"auto_deploy": "deployment: {auto_deploy: false, rollback: {automatic: true}}\n",
		"freeze":      "deployment: {rollback: {automatic: true}}\nfreeze: [{name: f, schedule: \"* 0-22 * * *\", duration: 30m}]\n",
		"pause":       "",
		"order":       "",
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				config := baseConfig + lines
				if lines == "" {
					config = automatic
				}
				if name == "order" {
					w.others = &neighbours{}
					config = nodesConfig("rollback: {automatic: true}")
				}
				w.release("1", configFile, automatic)
				w.start()
				w.breaks("2")
				third := ""
				w.set(func() {
					w.verify = func(ctx context.Context) error {
						if third != "" {
							return nil
						}
						third = w.release("3", configFile, config)
						if name == "pause" {
							if _, err := w.desk.Pause(person, request.Pause{Reason: "wait"}); err != nil {
								w.t.Error(err)
							}
						}
						select {
						case <-time.After(2 * time.Minute):
							return nil
						case <-ctx.Done():
							return ctx.Err()
						}
					}
				})
				second := w.release("2")
				w.pass(4 * time.Minute)
				w.wantLast(third, record.Waiting)
				w.runs("1")
				if told := w.states(second); told[len(told)-1] != gitlab.Failed {
					w.t.Errorf("GitLab was told %v", told)
				}
			})
		})
	}
}

// Nothing begins on a node that is paused, not even that it goes back with its group.
func TestPausedNodeGoesBackLater(t *testing.T) {
	inGroup(t, func(w *world, _, second string) {
		w.pause("10m", "the database is moved")
		w.others.says(second, "node1", gitlab.Failed)
		w.pass(8 * time.Minute)
		w.wantLast(second, record.Succeeded)
		if status := w.desk.Status(); status.Group != "not complete: node1 says failed" {
			w.t.Errorf("the group: %q", status.Group)
		}
		w.pass(3 * time.Minute)
		w.wantLast(second, record.RolledBack)
	}, goesBack)
	inGroup(t, func(w *world, _, _ string) {
		third := w.commit("3", configFile, groupConfig("secondary", goesBack)+"freeze: [{name: f, from: \"2000-01-01T00:04:00Z\", to: \"2000-01-02T00:00:00Z\"}]\n", nodeDir+"node.env", "TAG=3\n")
		w.poll()
		w.wantLast(third, record.Succeeded)
		w.pass(10 * time.Minute)
		w.others.says(third, "node1", gitlab.Failed)
		w.poll()
		w.wantLast(third, record.RolledBack)
	}, goesBack)
}
