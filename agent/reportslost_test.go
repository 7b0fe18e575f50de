package agent_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// full is a world whose disk is full for the first status of a state.
type full struct {
	*world
	state gitlab.State
}

func (f *full) Enqueue(report gitlab.Report) error {
	if f.refuses(report.State) {
		return errors.New("no space left on device")
	}
	return f.world.Enqueue(report)
}

func (f *full) refuses(state gitlab.State) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state != f.state {
		return false
	}
	f.state = ""
	return true
}

// A status that could not be queued is queued by the next look: what it is about is not recorded
// before.
func TestStatusOfASharedCommitIsNotLost(t *testing.T) {
	made := gittest.New(t)
	source, err := gitsync.Open(gitsync.Remote{URL: made.Dir})
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t, func(w *world) {
		for path, content := range w.files {
			made.Write(map[string]string{path: string(content.Data)})
		}
		made.Commit("Set up", nil)
		reports := &full{world: w}
		w.change = func(parts *agent.Parts) {
			parts.Source, parts.Reports, parts.Settings.Branch = source, reports, "master"
		}
		w.start()
		same := made.Commit("Notes", map[string]string{"README.md": "Notes\n"})
		w.set(func() { reports.state = gitlab.Success })
		w.poll()
		w.pass(3 * interval)
		if last := w.wantLast(same, record.Succeeded); !last.Unchanged {
			t.Errorf("%+v", last)
		}
		w.told(same, gitlab.Success)
	})
}

func TestStatusOfDegradedServicesIsNotLost(t *testing.T) {
	inMailWorld(t, toOps, func(w *world, box *mailbox) {
		reports := &full{world: w}
		c := &crashing{w: w, service: "s_web"}
		w.change = func(parts *agent.Parts) { parts.Tasks, parts.Reports = c, reports }
		c.runs(1)
		commit := w.release("1")
		w.start()
		w.wantLast(commit, record.Succeeded)
		w.set(func() { reports.state = gitlab.Failed })
		c.loops()
		w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed)
		box.wants(t, "services are degraded after the rollout, release 1")
	})
}

// GitLab shows the health of a release also if it changes back while the state file cannot be written.
func TestHealthThatIsNotSaved(t *testing.T) {
	inCrashingWorld(t, func(w *world, c *crashing, _ *mailbox, commit string) {
		c.loops()
		w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed)
		w.store.Around = func(func() error) error { return syscall.ENOSPC }
		for len(w.states(commit)) < 5 { // it is healthy again, which is not saved
			w.pass(10 * time.Second)
		}
		w.store.Around = nil
		c.loops()
		w.pass(2 * time.Minute)
		if states := w.states(commit); w.last().Degraded == "" || states[len(states)-1] != gitlab.Failed {
			t.Errorf("degraded %q, and GitLab was told %v", w.last().Degraded, states)
		}
	})
}

// So it does if it changes back after the agent was killed, before it has recorded what it had told.
func TestHealthThatIsNotSavedBeforeAKill(t *testing.T) {
	inCrashingWorld(t, func(w *world, c *crashing, _ *mailbox, commit string) {
		c.loops()
		w.store.Around = func(func() error) error { return syscall.ENOSPC }
		for len(w.states(commit)) < 5 {
			w.pass(10 * time.Second)
		}
		w.halt()
		w.start()
		c.loops()
		w.pass(time.Minute)
		w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed, gitlab.Success, gitlab.Failed)
		w.halt()
		w.start()
		w.pass(time.Minute)
		w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed, gitlab.Success, gitlab.Failed)
	})
}

// Nothing is told of a sync that could not be recorded: after a kill no later sync could end its status.
func TestNothingIsToldOfAnUnrecordedSync(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
		writes := 0
		w.store.Around = func(write func() error) error {
			if writes++; writes > 1 {
				return syscall.ENOSPC
			}
			return write() // of what is read
		}
		lost := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		w.halt()
		next := w.commit("3", nodeDir+"node.env", "TAG=3\n")
		w.start()
		w.pass(2 * interval)
		w.wantLast(next, record.Succeeded)
		w.told(lost)
	})
}
