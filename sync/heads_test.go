package sync_test

import (
	"testing"

	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// TestHeads wants a new number when a merge request moves, and the old one for everything else that
// a server of GitLab lists. Branches count until the server lists merge requests.
func TestHeads(t *testing.T) {
	for _, kind := range []string{"http", "file"} {
		t.Run(kind, func(t *testing.T) {
			repo := example(t)
			head := repo.Head()
			at := remote(t, kind, repo.Root(), gittest.Options{})
			at.MergeRequests = true
			opened, err := gitsync.Open(at)
			if err != nil {
				t.Fatal(err)
			}
			if n := opened.Heads(); n != 0 {
				t.Errorf("%d before the first list", n)
			}
			look := func() uint64 {
				t.Helper()
				if _, err := opened.Select(t.Context(), gitsync.Rule{Branch: "master"}); err != nil {
					t.Fatal(err)
				}
				return opened.Heads()
			}
			before := look()
			for _, step := range []struct {
				about string
				do    func()
				moves bool
			}{
				{"nothing", func() {}, false},
				{"a tag", func() { repo.Tag("one") }, false},
				{"a branch", func() { repo.Git("branch", "early") }, true},
				{"its end", func() { repo.Git("branch", "-D", "early") }, true},
				{"a result of a merge", func() { repo.Git("update-ref", "refs/merge-requests/4/merge", head) }, false},
				{"a deployment", func() { repo.Git("update-ref", "refs/environments/sandbox/deployments/1", head) }, false},
				{"a merge request", func() { repo.Git("update-ref", "refs/merge-requests/4/head", head) }, true},
				{"another merge request with this commit", func() { repo.Git("update-ref", "refs/merge-requests/5/head", head) }, true},
				{"a branch without one", func() { repo.Git("branch", "feature") }, false},
				{"a merge", func() { repo.Commit("Merge", map[string]string{"a": "1\n"}) }, false},
				{"a push to a merge request", func() { repo.Git("update-ref", "refs/merge-requests/4/head", repo.Head()) }, true},
				{"the end of all", func() {
					repo.Git("update-ref", "-d", "refs/merge-requests/4/head")
					repo.Git("update-ref", "-d", "refs/merge-requests/5/head")
				}, true},
			} {
				step.do()
				after := look()
				if moved := after != before; moved != step.moves || after == 0 {
					t.Errorf("%s: %d after %d", step.about, after, before)
				}
				before = after
			}
		})
	}
}
