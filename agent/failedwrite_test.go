package agent_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// One write of the state file or of the audit log that fails costs time only: a release is neither held
// nor rolled back because of it, and one that fails is rolled back all the same.
func TestOneWriteFails(t *testing.T) {
	for _, file := range []string{"state file", "audit log"} {
		for _, want := range []record.State{record.Succeeded, record.RolledBack} {
			for n, reached := 1, true; reached; n++ {
				t.Run(fmt.Sprintf("%s %s %d", file, want, n), func(t *testing.T) {
					inWorld(t, func(w *world) { reached = w.failWrite(file, n, want) })
				})
			}
		}
	}
}

// failWrite rolls out a release, of which one write of a file fails. It reports whether there were so many.
func (w *world) failWrite(file string, n int, want record.State) (reached bool) {
	w.commit("1", configFile, string(w.files[configFile].Data)+"deployment: {rollback: {automatic: true}}\n")
	w.start()
	around := func(write func() error) error {
		if n--; n == 0 {
			return syscall.ENOSPC
		}
		return write()
	}
	if w.store.Around = around; file == "audit log" {
		w.store.Around, w.audit.Around = nil, around
	}
	image := "app:2"
	if want == record.RolledBack {
		image = "app:1"
		w.failsWith("s_web", "app:2")
	}
	second := w.commit("2", nodeDir+"node.env", "TAG=2\n")
	w.pass(11 * time.Minute)
	sync := w.wantLast(second, want)
	if w.image("s_web") != image || (sync.Rollback != nil) != (want == record.RolledBack) {
		w.t.Errorf("runs %s, rollback %+v", w.image("s_web"), sync.Rollback)
	}
	return n <= 0
}

// loses has one report of a commit with a state not be kept.
func (w *world) loses(commit string, state gitlab.State) {
	w.set(func() {
		w.unkept = func(r gitlab.Report) error {
			if r.Commit != commit || r.State != state {
				return nil
			}
			w.unkept = nil
			return fault.Transient(syscall.ENOSPC)
		}
	})
}

// A report that cannot be kept at once is kept later, of a commit that changes nothing here.
func TestReportThatIsNotKept(t *testing.T) {
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
		w.change = func(parts *agent.Parts) {
			parts.Source, parts.Settings.UnchangedStatuses, parts.Settings.Branch = source, true, "master"
		}
		w.start()
		other := made.Commit("Notes", map[string]string{"README.md": "Notes\n"})
		w.loses(other, gitlab.Success)
		w.pass(5 * time.Minute)
		if sync := w.wantLast(other, record.Succeeded); !sync.Unchanged || w.unkept != nil {
			t.Errorf("unchanged %t, and the report was kept: %t", sync.Unchanged, w.unkept != nil)
		}
		w.told(other, gitlab.Success)
	})
}

// GitLab shows the health of a release also if it changes back while the state file cannot be written.
func TestHealthThatIsNotSaved(t *testing.T) {
	inCrashingWorld(t, func(w *world, c *crashing, _ *mailbox, commit string) {
		crash := func() {
			for range 3 {
				c.crash()
				w.pass(3 * time.Second)
			}
		}
		crash()
		w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed)
		w.store.Around = func(func() error) error { return syscall.ENOSPC }
		for len(w.states(commit)) < 5 { // it is healthy again, which is not saved
			w.pass(10 * time.Second)
		}
		w.store.Around = nil
		crash()
		w.pass(2 * time.Minute)
		if states := w.states(commit); w.last().Degraded == "" || states[len(states)-1] != gitlab.Failed {
			t.Errorf("degraded %q, and GitLab was told %v", w.last().Degraded, states)
		}
	})
}
