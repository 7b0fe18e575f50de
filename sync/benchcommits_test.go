package sync_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

const ownNode = "environments/production/nodes/node7"

// longHistory makes a repository with 2,000 nodes of 8 files each, and commits before the last one
// that change another file.
func longHistory(tb testing.TB, commits int) (made *gittest.Repo, first string) {
	tb.Helper()
	made = estateOf(tb, 2000)
	first = made.Head()
	var stream strings.Builder
	for n := range commits {
		text := fmt.Sprintf("Change %d", n)
		fmt.Fprintf(&stream, "commit refs/heads/master\ncommitter Ada <ada@coin.example> %d +0000\ndata %d\n%s\n", 1_736_000_000+n, len(text), text)
		if n == 0 {
			fmt.Fprintf(&stream, "from %s\n", first)
		}
		fmt.Fprintf(&stream, "M 644 inline environments/production/notes.txt\ndata %d\n%s\n\n", len(text), text)
	}
	imported := exec.CommandContext(tb.Context(), "git", "-C", made.Dir, "fast-import", "--quiet")
	imported.Stdin = strings.NewReader(stream.String())
	if out, err := imported.CombinedOutput(); err != nil {
		tb.Fatalf("git fast-import: %v\n%s", err, out)
	}
	made.At(time.Unix(1_737_000_000, 0)) // git follows a history by its times
	made.Git("reset", "--quiet", "--hard", "master")
	return made, first
}

// BenchmarkManyCommits has what an agent asks of a repository with 100,000 commits: a look without a
// change, the first fetch, a commit of another node, and whether the last commit descends from the
// first of them, as after an agent was off all the time.
func BenchmarkManyCommits(b *testing.B) {
	made, oldest := longHistory(b, 100_000)
	server := gittest.HTTP(b, made.Root(), gittest.Options{})
	anew := func(b *testing.B) *gitsync.Repository {
		b.Helper()
		return open(b, gitsync.Remote{URL: server.URL + "/repo"})
	}
	run := func(name string, prepare func(b *testing.B) func()) {
		b.Run(name, func(b *testing.B) {
			do := prepare(b)
			sent, rounds := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				server.Sent()
				do()
				sent, rounds = sent+server.Sent(), rounds+1
			}
			b.ReportMetric(float64(sent)/float64(rounds), "B-sent/op")
		})
	}
	run("look", func(b *testing.B) func() {
		b.Helper()
		repo := anew(b)
		selectBranch(b, repo)
		return func() { selectBranch(b, repo) }
	})
	run("first", func(b *testing.B) func() {
		b.Helper()
		return func() { read(b, fetch(b, anew(b), ownNode), ownNode+"/file3.yml") }
	})
	run("other node", func(b *testing.B) func() {
		b.Helper()
		repo := anew(b)
		before := fetch(b, repo, ownNode)
		read(b, before, ownNode+"/file3.yml")
		in, last, n := before.Inputs(), before.Revision.Commit, 0
		return func() {
			b.StopTimer()
			made.Commit("Change", map[string]string{fmt.Sprintf("environments/production/nodes/node%d/file1.yml", 100+n%1900): fmt.Sprint(b.N, n)})
			n++
			b.StartTimer()
			rev := selectBranch(b, repo)
			descends, err := repo.Descends(b.Context(), last, rev.Commit)
			checkout, fetchErr := repo.Fetch(b.Context(), rev, nil)
			if err != nil || fetchErr != nil || !descends || !checkout.Same(in) {
				b.Fatal(descends, err, fetchErr, "or the node's files differ")
			}
			last = rev.Commit
		}
	})
	run("descends", func(b *testing.B) func() {
		b.Helper()
		repo := anew(b)
		rev := selectBranch(b, repo)
		parent := strings.TrimSpace(made.Git("rev-parse", "master~1"))
		return func() {
			if descends, err := repo.Descends(b.Context(), parent, rev.Commit); err != nil || !descends {
				b.Fatal(descends, err)
			}
		}
	})
	run("off for all of them", func(b *testing.B) func() {
		b.Helper()
		repo := anew(b)
		rev := selectBranch(b, repo)
		return func() {
			if descends, err := repo.Descends(b.Context(), oldest, rev.Commit); err != nil || !descends {
				b.Fatal(descends, err)
			}
		}
	})
}
