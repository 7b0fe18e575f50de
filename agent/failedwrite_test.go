package agent_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
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
