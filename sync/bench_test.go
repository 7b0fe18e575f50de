package sync_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// estate makes a repository with 200 nodes of 8 files each, 50 branches and 20 commits.
func estate(tb testing.TB) *gittest.Repo {
	tb.Helper()
	return estateOf(tb, 200)
}

func estateOf(tb testing.TB, nodes int) *gittest.Repo {
	tb.Helper()
	made := gittest.New(tb)
	made.Git("config", "gc.auto", "0")
	files := map[string]string{"environments/production/config.yml": "environment: production\n"}
	for node := range nodes {
		for file := range 8 {
			name := fmt.Sprintf("environments/production/nodes/node%d/file%d.yml", node, file)
			files[name] = fmt.Sprintf("# %d %d\n%s", node, file, strings.Repeat("services: {}\n", 60))
		}
	}
	made.Commit("Set up", files)
	for commit := range 20 {
		made.Commit("Change", map[string]string{fmt.Sprintf("environments/production/nodes/node%d/file1.yml", commit): fmt.Sprint(commit)})
	}
	for branch := range 50 {
		made.Git("branch", fmt.Sprintf("feature-%d", branch))
	}
	made.Git("gc", "--quiet")
	return made
}

func benchmark(b *testing.B, run func(b *testing.B, repo *gitsync.Repository, rev gitsync.Revision)) {
	b.Helper()
	made := estate(b)
	for _, kind := range []string{"http", "git", "path"} {
		for name, options := range map[string]gittest.Options{"filter": {}, "whole": {Whole: true}} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				repo := open(b, remote(b, kind, made.Root(), options))
				rev := selectBranch(b, repo)
				b.ReportAllocs()
				for b.Loop() {
					run(b, repo, rev)
				}
			})
		}
	}
}

func BenchmarkSelect(b *testing.B) {
	benchmark(b, func(b *testing.B, repo *gitsync.Repository, _ gitsync.Revision) {
		b.Helper()
		selectBranch(b, repo)
	})
}

func BenchmarkFetch(b *testing.B) {
	benchmark(b, func(b *testing.B, repo *gitsync.Repository, rev gitsync.Revision) {
		b.Helper()
		checkout, err := repo.Fetch(b.Context(), rev, []string{"environments/production/nodes/node7", "environments/production/config.yml"})
		if err != nil {
			b.Fatal(err)
		}
		read(b, checkout, "environments/production/nodes/node7/file3.yml")
	})
}

// BenchmarkOtherNode is what a commit costs that changes another node of 2,000.
func BenchmarkOtherNode(b *testing.B) {
	made := estateOf(b, 2000)
	server := gittest.HTTP(b, made.Root(), gittest.Options{})
	repo := open(b, gitsync.Remote{URL: server.URL + "/repo"})
	const own = "environments/production/nodes/node7"
	in, last := gitsync.Inputs{}, gitsync.Revision{}
	look := func() {
		rev := selectBranch(b, repo)
		descends, err := true, error(nil)
		if last.Commit != "" {
			descends, err = repo.Descends(b.Context(), last.Commit, rev.Commit)
		}
		checkout, fetchErr := repo.Fetch(b.Context(), rev, nil)
		if err != nil || fetchErr != nil || !descends || !checkout.Same(in) {
			b.Fatal(descends, err, fetchErr, "or the node's files differ")
		}
		last = rev
	}
	first := fetch(b, repo, own)
	read(b, first, own+"/file3.yml")
	in = first.Inputs()
	server.Sent()
	sent, commits := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		made.Commit("Change", map[string]string{fmt.Sprintf("environments/production/nodes/node%d/file1.yml", 100+commits%1900): fmt.Sprint(b.N, commits)})
		b.StartTimer()
		look()
		sent, commits = sent+server.Sent(), commits+1
	}
	b.ReportMetric(float64(sent)/float64(commits), "B-sent/op")
}

// TestMemoryStaysFlat fetches many times: no data of an earlier fetch may stay in memory.
func TestMemoryStaysFlat(t *testing.T) {
	made := estate(t)
	repo := open(t, remote(t, "http", made.Root(), gittest.Options{}))
	heap := func() uint64 {
		for range 10 {
			fetch(t, repo, "environments/production/nodes/node7")
		}
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	if after := heap(); after > before+1<<20 {
		t.Errorf("heap grew from %d to %d bytes over ten fetches", before, after)
	}
}

// BenchmarkManyRefs is a look without a change at a remote with 50,000 refs that nothing follows.
func BenchmarkManyRefs(b *testing.B) {
	made := crowded(b, 50_000)
	for name, options := range map[string]gittest.Options{"version2": {}, "version0": {Version0: true}} {
		b.Run(name, func(b *testing.B) {
			server := gittest.HTTP(b, made.Root(), options)
			repo := open(b, gitsync.Remote{URL: server.URL + "/repo"})
			selectBranch(b, repo)
			server.Sent()
			b.ReportAllocs()
			for b.Loop() {
				selectBranch(b, repo)
			}
			b.ReportMetric(float64(server.Sent())/float64(b.N), "B-sent/op")
		})
	}
}
