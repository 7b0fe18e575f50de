package agent_test

import (
	"fmt"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/signtest"
)

// TestPlansDemandSigners has the last commits of merge requests signed by a listed key, by another
// one and by none. The row says so; no file of a refused commit is read.
func TestPlansDemandSigners(t *testing.T) {
	inSignedWorld(t, signedConfig, func(w *signedWorld) {
		signs := w.change
		p := w.showing(nil)
		shows := w.change
		w.change = func(parts *agent.Parts) {
			shows(parts)
			parts.Policy = nil
			signs(parts)
		}
		w.start()
		base := w.git.Head()
		w.wantLast(base, record.Succeeded)
		for i, test := range []struct {
			key  *signtest.Key
			row  string
			more string
			is   gitlab.State
		}{
			{nil, "| node3 | not read: commit HEAD is not signed", "hint:", gitlab.Failed},
			{&w.eve, "| node3 | not read: commit HEAD is signed by the SSH key " + w.eve.ID + ", which policy.signers does not list", "hint:", gitlab.Failed},
			{&w.ada, "| node3 | 1 service to update (1 task of 1 service restarts) | ", "- **Signed by**: `ada@coin.example (" + w.ada.ID + ")`", gitlab.Success},
		} {
			name := fmt.Sprint("b", i)
			w.git.Git("checkout", "--quiet", "-B", name, "master")
			head := w.push(test.key, "2")
			w.git.Git("checkout", "--quiet", "master")
			number := p.gitlab.AddOpen(gitlabtest.Open{Source: name, Head: head, Base: base})
			w.set(func() { p.heads++ })
			for range 3 {
				w.poll()
			}
			notes := p.gitlab.RequestNotes(number)
			if row := strings.ReplaceAll(test.row, "HEAD", head[:10]); len(notes) != 1 || !strings.Contains(notes[0].Body, row) || !strings.Contains(notes[0].Body, test.more) {
				t.Errorf("the note lacks %q or %q: %+v", row, test.more, notes)
			}
			if told := w.reportsOf(head); len(told) != 1 || told[0].State != test.is || told[0].Name != "coin-agent/sandbox/node3/plan" {
				t.Errorf("%s: %+v", test.row, told)
			}
		}
		w.wantLast(base, record.Succeeded)
		w.wantImage("app:1")
	})
}

// reportsOf gives the statuses of a commit.
func (w *world) reportsOf(commit string) (of []gitlab.Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.reported {
		if one.Commit == commit {
			of = append(of, one)
		}
	}
	return of
}
