package preview_test

import (
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

// TestStuck has a commit that git alone never gives, as the head of a merge request or as what it
// began with. The other merge requests do not wait for it, and its row says why there is no plan.
func TestStuck(t *testing.T) {
	for _, what := range []string{"head", "base"} {
		inWorld(t, func(w *world) {
			n := w.node("node3")
			n.start()
			defer n.stop()
			base := w.repo.Head()
			number, head := w.open("stuck", map[string]string{folder + "node3/plan": "two"})
			n.stuck = map[string]string{"head": head, "base": base}[what]
			n.look(10 * time.Second)
			w.repo.Commit("more", map[string]string{"README": what})
			other, _ := w.open("other", map[string]string{folder + "node3/plan": "three"})
			n.look(time.Second)
			w.wantNote(other, "s_three")
			n.look(2 * time.Minute)
			w.wantNote(number, "| node3 | no plan: fetch ", ": the remote hung up | ")
			if entries := w.gitlab.Statuses(head).Entries; len(entries) != 1 || entries[0].Status != "failed" {
				t.Errorf("%s: %+v", what, entries)
			}
			since := len(w.gitlab.Requests())
			n.look(24 * time.Hour) // the outbox asks for the token, twice
			if calls, list := w.calls(since); calls > 26 {
				t.Errorf("%s: %d requests in a day:\n%s", what, calls, list)
			}
			n.stuck = ""
			n.look(time.Hour + time.Minute)
			w.wantNote(number, "| node3 | 1 service to create | ", "s_two")
		})
	}
}

// TestQuiet has git not answer at all: no merge request is told so, and the plans come when git does.
func TestQuiet(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.node("node3")
		n.quiet = true
		n.start()
		defer n.stop()
		number, head := w.open("feature", map[string]string{folder + "node3/plan": "two"})
		n.look(6 * time.Hour)
		if note, statuses := w.note(number), w.gitlab.Statuses(head).Entries; note != "" || len(statuses) > 0 {
			t.Errorf("%s %+v", note, statuses)
		}
		n.quiet = false
		n.look(10 * time.Minute)
		w.wantNote(number, "s_two")
	})
}

// TestProtectedBranch has a source branch to which the token's user may not push: GitLab refuses the
// status of the plan, which keeps nothing waiting, and the note has the plan.
func TestProtectedBranch(t *testing.T) {
	inWorld(t, func(w *world) {
		user := gitlabtest.Agent()
		user.Access = gitlabtest.Developer
		w.gitlab.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: user, Scopes: []string{"api"}})
		w.gitlab.ProtectBranch("feature")
		n := w.node("node3")
		n.start()
		defer n.stop()
		number, head := w.open("feature", map[string]string{folder + "node3/plan": "two"})
		n.look(10 * time.Minute)
		w.wantNote(number, "s_two")
		if health := n.outbox.Health(); health.Undelivered > 0 || health.Refused == nil || health.Refused.Report.Commit != head {
			t.Errorf("%+v", health)
		}
	})
}
