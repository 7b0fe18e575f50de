package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// freezeNow gives the keys of a freeze that holds now.
func freezeNow() string {
	now := time.Now().UTC()
	return fmt.Sprintf("from: '%s', to: '%s'", now.Add(-time.Hour).Format(time.RFC3339), now.Add(24*time.Hour).Format(time.RFC3339))
}

// TestNoCommitLiftsAGate plays the attack: somebody who can get a commit onto the branch
// deletes approval, board and freeze from config.yml, and rolls out at once. Alone or with a
// release, with other approvers, over a kill and a rollback: nothing is written before the
// gates that were deleted let it pass. The floor in agent.yml holds where no gate is left.
func TestNoCommitLiftsAGate(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	bare := strings.Replace(l.approvedRepo("1")["environments/sandbox/config.yml"], "approval: {required: true, approvers: [bob]}\n", "", 1)
	gated := bare + "approval: {required: true, minimum: 2, approvers: [bob, carol], change_advisory_board: true}\n"
	config := func(text string) map[string]string { return map[string]string{"environments/sandbox/config.yml": text} }
	files := l.approvedRepo("1")
	files["environments/sandbox/config.yml"] = gated
	first := l.commit("first", files)
	l.gitlab.Approve(l.gitlab.AddMerge(gitlabtest.Merge{Commit: first, Author: "ada", Labels: []string{"CAB approved"}}), "bob", "carol")
	l.start()
	l.await(first, record.Succeeded)
	frozen := l.commit("frozen", config(gated+"freeze: [{name: audit, "+freezeNow()+"}]\n"))
	l.await(frozen, record.Succeeded)
	running := l.versions()
	l.recorder.Reset()

	var requests []int64 // of the commits that wait, whose changes come along with the last one
	const loosens = "this commit lowers approvals from 2 to 0, removes the approval of the change advisory board, removes the freeze audit"
	unwritten := func(what string) {
		l.t.Helper()
		if writes := l.recorder.Writes(); len(writes) > 0 || fmt.Sprint(l.versions()) != fmt.Sprint(running) {
			l.t.Errorf("%s: written %v", what, writes)
		}
	}
	l.step("the gates are deleted, alone and with a release", func() {
		alone := l.commit("tidy up", config(bare))
		requests = append(requests, l.gitlab.AddMerge(gitlabtest.Merge{Commit: alone, Author: "eve"}))
		l.gitlab.Approve(requests[0], "mallory")
		l.waitsFor(alone, loosens)
		attack := l.commit("release", map[string]string{node3 + "node.env": "TAG=2\n"})
		requests = append(requests, l.gitlab.AddMerge(gitlabtest.Merge{Commit: attack, Author: "eve"}))
		l.gitlab.Approve(requests[1], "mallory")
		l.waitsFor(attack, "has 0 of 2 approvals (of bob, carol)")
		l.describedAs(attack, "waiting for a user (", "): "+loosens)
		l.mustRun(exitDifferent, []string{loosens}, "sync", "--wait")
		l.mustRun(exitDifferent, []string{loosens}, "status")
		l.mustRun(exitDifferent, []string{loosens}, "diff")
		l.kill()
		l.start()
		l.looks(2)
		l.waitsFor(attack, loosens)
		unwritten("deleted gates")
	})
	l.step("the approvers are replaced", func() {
		swapped := l.commit("new team", config(strings.Replace(gated, "bob, carol", "eve, mallory", 1)))
		requests = append(requests, l.gitlab.AddMerge(gitlabtest.Merge{Commit: swapped, Author: "oscar", Labels: []string{"CAB approved"}}))
		l.gitlab.Approve(requests[2], "eve", "mallory")
		l.waitsFor(swapped, "this commit lets eve, mallory approve, removes the freeze audit; ")
		unwritten("other approvers")
	})
	l.step("it is approved, and the next commit is judged by the new rules", func() {
		agreed := l.commit("agreed", config(bare))
		l.gitlab.Approve(l.gitlab.AddMerge(gitlabtest.Merge{Commit: agreed, Author: "ada", Labels: []string{"CAB approved"}}), "bob", "carol")
		l.waitsFor(agreed, `"release" came without an approved merge request`)
		for _, request := range append(requests, l.gitlab.AddMerge(gitlabtest.Merge{Commit: frozen, Author: "ada"})) {
			l.gitlab.SetLabels(request, "CAB approved")
			l.gitlab.Approve(request, "bob", "carol")
		}
		l.waitsFor(agreed, "frozen until ")
		l.mustRun(exitDone, nil, "sync", "--wait", "--override-freeze", "--reason", "the audit is over")
		done := l.await(agreed, record.Succeeded).Sync
		if !strings.Contains(strings.Join(done.Warnings, "; "), loosens+": this holds from the next commit on") {
			l.t.Errorf("warnings %q", done.Warnings)
		}
		l.await(l.commit("free", map[string]string{node3 + "node.env": "TAG=1\n"}), record.Succeeded)
	})
	l.step("the floor of the node", func() {
		l.stop()
		l.mappings = "policy:\n  floor:\n    approval: {required: true, approvers: [bob]}\n"
		l.start()
		l.until("idle", func(s report.Status) bool { return s.InSync })
		running = l.versions()
		l.recorder.Reset()
		l.waitsFor(l.commit("free no more", map[string]string{node3 + "node.env": "TAG=2\n"}), "no merge request brought this commit")
		unwritten("floor")
	})
}
