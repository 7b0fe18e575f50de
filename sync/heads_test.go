package sync_test

import (
	"testing"

	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// TestHeads wants a new number when a branch or a merge request moves, and the old one for
// everything else that a server of GitLab lists.
func TestHeads(t *testing.T) {
	for _, kind := range []string{"http", "file"} {
		t.Run(kind, func(t *testing.T) {
			repo := example(t)
			head := repo.Head()
			opened, err := gitsync.Open(remote(t, kind, repo.Root(), gittest.Options{}))
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
				{"a result of a merge", func() { repo.Git("update-ref", "refs/merge-requests/4/merge", head) }, false},
				{"a deployment", func() { repo.Git("update-ref", "refs/environments/sandbox/deployments/1", head) }, false},
				{"a merge request", func() { repo.Git("update-ref", "refs/merge-requests/4/head", head) }, true},
				{"another merge request with this commit", func() { repo.Git("update-ref", "refs/merge-requests/5/head", head) }, true},
				{"a branch", func() { repo.Git("branch", "feature") }, true},
				{"a push to it", func() {
					repo.Git("update-ref", "refs/heads/feature", repo.Git("commit-tree", "-m", "x", head+"^{tree}"))
				}, true},
				{"its end", func() { repo.Git("branch", "-D", "feature") }, true},
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
