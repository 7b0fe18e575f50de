package agent_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

// neighbours are the commit statuses of the other nodes, as GitLab tells them.
type neighbours struct {
	mu      sync.Mutex
	entries map[string][]gitlab.CommitStatus
	err     error
	hangs   bool
	asked   int
}

// Statuses tells all of a commit.
func (n *neighbours) Statuses(ctx context.Context, commit string) ([]gitlab.CommitStatus, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	if n.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return n.entries[commit], n.err
}

// Agents tells the user of the agents.
func (n *neighbours) Agents(context.Context) ([]string, error) { return []string{"coin-agent"}, nil }

// says posts a node's status.
func (n *neighbours) says(commit, node string, state gitlab.State) {
	n.post("coin-agent", commit, node, state)
}

// post posts a node's status as a user.
func (n *neighbours) post(user, commit, node string, state gitlab.State) {
	n.mu.Lock()
	defer n.mu.Unlock()
	one := gitlab.CommitStatus{Name: "coin-agent/sandbox/" + node, State: state, Author: user}
	if state != gitlab.Pending && state != gitlab.Running {
		one.Finished = time.Now()
	}
	if n.entries == nil {
		n.entries = map[string][]gitlab.CommitStatus{}
	}
	n.entries[commit] = append(n.entries[commit], one)
}

func (n *neighbours) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

// requests is how often GitLab was asked since the last time.
func (n *neighbours) requests() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := n.asked
	n.asked = 0
	return asked
}

// nodesConfig is a config.yml of node1, node2 and node3 with lines of deployment.
func nodesConfig(lines ...string) string {
	return "environment: {name: sandbox, type: non-production}\nnodes:\n" +
		"  - {name: node1, context: c1, stack: s, role: primary}\n  - {name: node2, context: c2, stack: s, role: secondary}\n" +
		"  - {name: node3, context: c3, stack: s, role: primary}\ndeployment:\n  " + strings.Join(append(lines, "log_level: info"), "\n  ") + "\n"
}

// inOrder is a world whose agent runs the last of three nodes.
func inOrder(t *testing.T, test func(w *world), lines ...string) {
	t.Helper()
	inWorld(t, func(w *world) {
		w.others = &neighbours{}
		w.commit("1", configFile, nodesConfig(lines...))
		test(w)
	})
}

// waits checks that the newest sync waits, with these words, and touched nothing.
func (w *world) waits(words string) *record.Sync {
	w.t.Helper()
	sync := w.wantLast(w.revision.Commit, record.Waiting)
	if !strings.Contains(sync.Waiting, words) || w.plans() != 0 {
		w.t.Errorf("waiting: %q after %d plans, want %q", sync.Waiting, w.plans(), words)
	}
	return sync
}

// toldInOrder checks what GitLab shows of a commit: a reason of waiting that changes
// is nothing new to it.
func (w *world) toldInOrder(commit string, want ...gitlab.State) {
	w.t.Helper()
	if states := slices.Compact(w.states(commit)); !slices.Equal(states, want) {
		w.t.Errorf("GitLab was told of %s: %v, want %v", commit, states, want)
	}
}

func TestOrderIsKept(t *testing.T) {
	inOrder(t, func(w *world) {
		commit := w.revision.Commit
		w.start()
		if next := report.NextStep(w.waits("waiting for node1")); next != "wait: it continues automatically" {
			w.t.Errorf("what to do: %s", next)
		}
		w.toldInOrder(commit, gitlab.Pending)
		w.others.says(commit, "node2", gitlab.Success)
		w.others.says(strings.Replace(commit, "1", "9", 1), "node1", gitlab.Success)
		for _, state := range []gitlab.State{gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Running} {
			w.others.says(commit, "node1", state)
		}
		w.poll()
		w.waits("waiting for node1")
		w.others.says(commit, "node1", gitlab.Success)
		w.others.says(commit, "node2", gitlab.Running)
		w.others.requests()
		w.poll()
		w.waits("waiting for node2")
		if n := w.others.requests(); n != 1 {
			w.t.Errorf("a look asked GitLab %d times", n)
		}
		w.others.says(commit, "node2", gitlab.Success)
		w.poll()
		w.wantLast(commit, record.Succeeded)
		w.toldInOrder(commit, gitlab.Pending, gitlab.Running, gitlab.Success)
		w.others.requests()
		for range 3 {
			w.poll()
		}
		if n := w.others.requests(); n != 0 {
			w.t.Errorf("an idle agent asked GitLab %d times", n)
		}
	})
}

// A node that failed stops those behind it, until it has been mended or there is a
// newer commit.
func TestFailedNeighbourStops(t *testing.T) {
	for _, bad := range []gitlab.State{gitlab.Failed, gitlab.Canceled, "manual"} {
		inOrder(t, func(w *world) {
			first := w.revision.Commit
			w.others.says(first, "node2", gitlab.Running)
			w.others.says(first, "node1", bad)
			w.start()
			if next := report.NextStep(w.waits("stopped: node1 failed with this commit")); next != "check the node that it waits for" {
				w.t.Errorf("what to do: %s", next)
			}
			w.pass(7 * time.Minute)
			w.waits("stopped: node1 failed with this commit")
			if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
				w.t.Fatal(err)
			}
			w.waits("stopped: node1 failed with this commit")
			w.others.says(first, "node1", gitlab.Running)
			w.poll()
			w.waits("waiting for node1")
			w.others.says(first, "node1", bad)
			second := w.commit("2", nodeDir+"node.env", "TAG=2\n")
			w.others.says(second, "node1", gitlab.Success)
			w.others.says(second, "node2", gitlab.Success)
			w.poll()
			w.wantLast(second, record.Succeeded)
			w.toldInOrder(first, gitlab.Pending, gitlab.Canceled)
		}, "order_timeout: 5m")
	}
}

func TestNeighbourIsMended(t *testing.T) {
	inOrder(t, func(w *world) {
		w.others.says(w.revision.Commit, "node2", gitlab.Success)
		w.others.says(w.revision.Commit, "node1", gitlab.Failed)
		w.start()
		w.waits("stopped: node1")
		w.others.says(w.revision.Commit, "node1", gitlab.Success)
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
	})
}

func TestOrderTimesOut(t *testing.T) {
	for _, says := range []gitlab.State{"", gitlab.Pending, gitlab.Running} {
		inOrder(t, func(w *world) {
			commit := w.revision.Commit
			w.others.says(commit, "node2", gitlab.Success)
			if says != "" {
				w.others.says(commit, "node1", says)
			}
			w.start()
			w.pass(4 * time.Minute)
			w.waits("waiting for node1")
			w.halt() // the time goes on over a restart
			w.start()
			w.pass(2 * time.Minute)
			sync := w.wantLast(commit, record.Failed)
			word := string(says)
			if word == "" {
				word = "nothing yet"
			}
			if sync.Stage != "gate" || !strings.HasPrefix(sync.Error, "waited 5m for node1, which says "+word) || !strings.Contains(sync.Hint, "agent retry") {
				w.t.Errorf("failed at %s: %s; hint %s", sync.Stage, sync.Error, sync.Hint)
			}
			w.toldInOrder(commit, gitlab.Pending, gitlab.Failed)
			w.others.says(commit, "node1", gitlab.Success)
			w.pass(5 * time.Minute)
			if w.wantLast(commit, record.Failed).ID != sync.ID || w.plans() != 0 {
				w.t.Error("it was not held")
			}
			if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
				w.t.Fatal(err)
			}
			w.wantLast(commit, record.Succeeded)
		}, "order_timeout: 5m")
	}
}

// While those before move on, nobody's time is over.
func TestTimeOfOrderBeginsAnew(t *testing.T) {
	inOrder(t, func(w *world) {
		commit := w.revision.Commit
		w.start()
		for _, step := range []struct {
			node  string
			state gitlab.State
		}{{"node1", gitlab.Running}, {"node1", gitlab.Success}, {"node2", gitlab.Pending}, {"node2", gitlab.Running}, {"node2", gitlab.Success}} {
			w.pass(4 * time.Minute)
			w.waits("waiting for node")
			w.others.says(commit, step.node, step.state)
		}
		w.poll()
		w.wantLast(commit, record.Succeeded)
	}, "order_timeout: 5m")
}

// Without GitLab's word nobody moves past a neighbour, however long it takes.
func TestOrderWithoutGitLab(t *testing.T) {
	inOrder(t, func(w *world) {
		commit := w.revision.Commit
		w.others.says(commit, "node1", gitlab.Success)
		w.others.says(commit, "node2", gitlab.Success)
		w.others.fail(errors.New("GitLab does not answer"))
		w.start()
		w.waits("cannot ask GitLab about node1, node2: GitLab does not answer")
		looks := len(w.gaps())
		w.pass(15 * time.Minute)
		w.waits("cannot ask GitLab about node1")
		if n := len(w.gaps()) - looks; n < 25 {
			w.t.Errorf("%d looks in a quarter of an hour: the repository is looked at less for it", n)
		}
		w.others.fail(nil)
		w.poll()
		w.wantLast(commit, record.Succeeded)
	}, "order_timeout: 10m")
	inOrder(t, func(w *world) {
		w.others = nil
		w.start()
		w.waits("waiting for node1, node2, but cannot know how they do: no GitLab is configured (set gitlab_url, or strategy: parallel")
		w.halt()
		w.others = &neighbours{}
		w.others.says(w.revision.Commit, "node1", gitlab.Success)
		w.others.says(w.revision.Commit, "node2", gitlab.Success)
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
	})
}

func TestWhoDoesNotWait(t *testing.T) {
	for _, lines := range []string{"strategy: parallel", "strategy: replace", "order: [node3, node1, node2]"} {
		inOrder(t, func(w *world) {
			w.others = nil
			w.start()
			w.wantLast(w.revision.Commit, record.Succeeded)
		}, lines)
	}
	inOrder(t, func(w *world) { // nothing to do
		w.start()
		w.waits("waiting for node1")
		empty := w.commit("2", nodeDir+"docker-compose.yml", "services: {}\n")
		w.poll()
		w.wantLast(empty, record.Succeeded)
	})
}

// What a node has proven it may put back without the others.
func TestProvenNeedsNoOrder(t *testing.T) {
	for _, drift := range []string{"correct", "report"} {
		inOrder(t, func(w *world) {
			commit := w.commit("2", configFile, nodesConfig()+"drift: "+drift+"\n")
			w.others.says(commit, "node1", gitlab.Success)
			w.others.says(commit, "node2", gitlab.Success)
			w.start()
			w.wantLast(commit, record.Succeeded)
			w.others.says(commit, "node1", gitlab.Failed)
			w.set(func() { w.live = nil })
			if drift == "report" {
				if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
					w.t.Fatal(err)
				}
			}
			w.poll()
			if sync := w.wantLast(commit, record.Succeeded); w.plans() != 2 || !sync.Wrote {
				w.t.Errorf("%d plans; %+v", w.plans(), sync)
			}
		})
	}
}

// A neighbour that is waited for is no news for people; one that failed is.
func TestWhoIsToldOfOrder(t *testing.T) {
	inMailWorld(t, "", func(w *world, box *mailbox) {
		w.others = &neighbours{}
		commit := w.commit("2", configFile, nodesConfig()+"notifications: {email: [ops@coin.example]}\n")
		w.others.says(commit, "node1", gitlab.Running)
		w.start()
		w.pass(10 * time.Minute)
		box.wants(w.t)
		w.others.says(commit, "node1", gitlab.Failed)
		w.pass(10 * time.Minute)
		box.wants(w.t, "rollout waits: "+w.last().Waiting+", release 1")
	})
}

// Killed in the midst of its own rollout, a node carries on without asking again.
func TestOrderIsNotAskedTwice(t *testing.T) {
	inOrder(t, func(w *world) {
		commit := w.revision.Commit
		w.others.says(commit, "node1", gitlab.Success)
		w.others.says(commit, "node2", gitlab.Success)
		w.lost = true
		w.start()
		w.halt()
		w.others.says(commit, "node1", gitlab.Failed)
		w.lost = false
		w.set(func() { w.result = deploy.Result{} })
		w.start()
		w.wantLast(commit, record.Succeeded)
	})
}

func TestSoak(t *testing.T) {
	inOrder(t, func(w *world) {
		commit := w.revision.Commit
		w.start()
		w.waits("waiting for node2")
		w.others.says(commit, "node2", gitlab.Success)
		w.others.says(commit, "node1", gitlab.Running)
		w.poll()
		w.waits("waiting for node1")
		w.others.says(commit, "node1", gitlab.Success)
		began := time.Now()
		w.poll()
		sync := w.waits(", 15m after node2")
		if until := sync.Gates[len(sync.Gates)-1].Until; until.Before(began.Add(13*time.Minute)) || until.After(began.Add(15*time.Minute)) {
			w.t.Errorf("until %s, it is %s", until, began)
		}
		w.pass(10 * time.Minute)
		w.halt()
		w.start()
		w.waits(", 15m after node2")
		w.pass(5 * time.Minute)
		w.wantLast(commit, record.Succeeded)
	}, "strategy: blue-green", "order_timeout: 5m", "blue_green: {soak: 15m}")
}
