package sync_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// subjects gives the subjects of the commits between two that change something, the newest
// first.
func subjects(t *testing.T, repo *gitsync.Repository, older, newer string, in gitsync.Inputs) string {
	t.Helper()
	commits, err := repo.Between(t.Context(), older, newer, in)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, one := range commits {
		if one.Changes {
			all = append(all, one.Subject)
		}
	}
	return strings.Join(all, ", ")
}

// TestBetween lists the commits of a branch that change what a node reads. A commit of
// another node, and one that was taken back, are none of them.
func TestBetween(t *testing.T) {
	const evil, env, link, other = nodeDir + "/evil.yml", nodeDir + "/node.env", nodeDir + "/link.env", "environments/sandbox/nodes/node4/node.env"
	everyKind(t, func(t *testing.T, kind string, options gittest.Options) {
		t.Helper()
		made := example(t)
		repo := open(t, remote(t, kind, made.Root(), options))
		first := made.Head()
		made.Commit("Another node", map[string]string{other: "TAG=2\n"})
		made.Commit("Wrong", map[string]string{env: "TAG=8\n"})
		made.Commit("Taken back", map[string]string{env: "TAG=1\n"})
		made.Commit("A file that nothing names", map[string]string{evil: "x\n"})
		made.Git("checkout", "-b", "side")
		made.Commit("On the side", map[string]string{env: "TAG=2\n"})
		made.Git("checkout", "master")
		made.Commit("Meanwhile", map[string]string{other: "TAG=3\n"})
		made.Git("merge", "--no-ff", "-m", "Merge side", "side")
		made.Commit("Name it", map[string]string{nodeDir + "/docker-compose.yml": "include: [evil.yml]\n"})
		tip := made.Head()

		checkout := fetch(t, repo)
		for _, name := range []string{env, evil, nodeDir + "/docker-compose.yml"} {
			read(t, checkout, name)
		}
		if _, err := checkout.FS.Open(link); err == nil {
			t.Error("a file that is not there")
		}
		in := checkout.Inputs()
		if got := subjects(t, repo, first, tip, in); got != "Name it, Merge side, A file that nothing names" {
			t.Errorf("between: %s", got)
		}
		if got := subjects(t, repo, first, tip, nil); got != "Name it, Merge side, Meanwhile, A file that nothing names, Taken back, Wrong, Another node" {
			t.Errorf("all: %s", got)
		}
		if got := subjects(t, repo, tip, tip, in); got != "" {
			t.Errorf("the same commit: %s", got)
		}
		if !options.Whole { // otherwise only the tips of branches are on offer
			if got := subjects(t, repo, tip, first, in); got != "" {
				t.Errorf("an older commit: %s", got)
			}
		}
		if _, err := repo.Between(t.Context(), strings.Repeat("1", 40), tip, in); err == nil || !strings.Contains(err.Error(), "no longer has commit 1111111111") {
			t.Errorf("a commit that is gone: %v", err)
		}
	})
}

// TestBetweenBranches compares with the older commit also where that is not on the line of
// first parents: a merge whose first parent is old, and whose files are, takes back what was
// deployed.
func TestBetweenBranches(t *testing.T) {
	for _, kind := range []string{"http", "git", "path"} {
		t.Run(kind, func(t *testing.T) {
			const env = nodeDir + "/node.env"
			made := example(t)
			repo := open(t, remote(t, kind, made.Root(), gittest.Options{}))
			old := made.Head()
			deployed := made.Commit("Deployed", map[string]string{env: "TAG=2\n"})
			made.Reset(old)
			made.Commit("Elsewhere", map[string]string{"README": "x\n"})
			made.Git("merge", "-s", "ours", "-m", "Downgrade", deployed)
			checkout := fetch(t, repo)
			read(t, checkout, env)
			if got := subjects(t, repo, deployed, made.Head(), checkout.Inputs()); got != "Elsewhere" {
				t.Errorf("between: %s", got)
			}
		})
	}
}

// TestBetweenMany gives up where there are too many commits to follow.
func TestBetweenMany(t *testing.T) {
	made := example(t)
	first := made.Head()
	tree := made.Git("rev-parse", "HEAD^{tree}")
	at := first
	for i := range 1001 {
		at = made.Git("commit-tree", tree, "-p", at, "-m", fmt.Sprint(i))
	}
	made.Git("reset", "--hard", at)
	repo := open(t, remote(t, "http", made.Root(), gittest.Options{}))
	commits, err := repo.Between(t.Context(), made.Git("rev-parse", "HEAD~1000"), at, gitsync.Inputs{"README": ""})
	if err != nil || len(commits) != 1000 {
		t.Fatalf("%d commits, %v", len(commits), err)
	}
	if diff := cmp.Diff(gitsync.Commit{Hash: at, Subject: "1000"}, commits[0]); diff != "" {
		t.Error(diff)
	}
	if _, err := repo.Between(t.Context(), first, at, nil); err == nil || !strings.Contains(err.Error(), "more than 1000 commits between "+first[:10]) {
		t.Errorf("too many: %v", err)
	}
}
