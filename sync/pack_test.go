package sync_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/fuzzed"
	"coin.internal/coin-agent/internal/limits"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// bounded opens a repository over HTTP with limits.
func bounded(t *testing.T, repo *gittest.Repo, whole bool, change func(*limits.Limits)) (*gitsync.Repository, gitsync.Revision) {
	t.Helper()
	bounds := limits.Default()
	change(&bounds)
	source, err := gitsync.Open(gitsync.Remote{URL: gittest.HTTP(t, repo.Root(), gittest.Options{Whole: whole}).URL + "/repo", Limits: bounds})
	if err != nil {
		t.Fatal(err)
	}
	revision, err := source.Select(t.Context(), gitsync.Rule{Branch: "master"})
	if err != nil {
		t.Fatal(err)
	}
	return source, revision
}

func refused(t *testing.T, err error, limit string) {
	t.Helper()
	if !errors.Is(err, limits.ErrExceeded) || errors.Is(err, gitsync.ErrUnreachable) ||
		!strings.Contains(err.Error(), "limits."+limit+" allows") || !strings.Contains(fault.Hint(err), "raise "+limit) {
		t.Errorf("got %v (hint %q), want the limit %s", err, fault.Hint(err), limit)
	}
}

// TestPackOfZeros fetches a commit whose pack has some KB, and whose file 40 MiB.
func TestPackOfZeros(t *testing.T) {
	repo := gittest.New(t)
	repo.Commit("zeros", map[string]string{"a/zeros": strings.Repeat("\x00", 40<<20), "b/small": "x"})
	for name, whole := range map[string]bool{"filter": false, "whole": true} {
		t.Run(name, func(t *testing.T) {
			source, revision := bounded(t, repo, whole, func(l *limits.Limits) { l.FetchBytes = 32 << 20 })
			_, err := source.Fetch(t.Context(), revision, []string{"a"})
			refused(t, err, "fetch_bytes")
		})
	}
}

// TestDeltas fetches files that are deltas of each other: the whole of each counts.
func TestDeltas(t *testing.T) {
	repo := gittest.New(t)
	files := map[string]string{}
	for i := range 20 {
		files["a/"+strconv.Itoa(i)] = strings.Repeat("line of a file\n", 20_000) + strconv.Itoa(i)
	}
	repo.Commit("deltas", files)
	repo.Git("repack", "-adf", "--depth=50", "--window=50")
	source, revision := bounded(t, repo, false, func(l *limits.Limits) { l.FetchBytes = 3 << 20 })
	_, err := source.Fetch(t.Context(), revision, []string{"a"})
	refused(t, err, "fetch_bytes")
	source, revision = bounded(t, repo, false, func(l *limits.Limits) { l.FetchBytes = 8 << 20 })
	if _, err := source.Fetch(t.Context(), revision, []string{"a"}); err != nil {
		t.Error(err)
	}
}

// TestEndlessAnswer fetches from a server that has no end of what it says before the pack, or beside
// it: lines of a shallow commit, which are kept, and progress.
func TestEndlessAnswer(t *testing.T) {
	repo := gittest.New(t)
	repo.Commit("small", map[string]string{"a": "x"})
	served := gittest.HTTP(t, repo.Root(), gittest.Options{}).Config.Handler
	for name, line := range map[string]string{
		"shallow":  "0035shallow " + strings.Repeat("0", 40) + "\n",
		"progress": "\x02" + strings.Repeat("x", 900),
	} {
		t.Run(name, func(t *testing.T) {
			if line[0] == 2 {
				line = fmt.Sprintf("%04x%s", 4+len(line), line)
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet || r.Header.Get("Git-Protocol") != "" {
					served.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
				if line[4] == 2 {
					_, _ = io.WriteString(w, "0035shallow "+repo.Head()+"\n00000008NAK\n")
				}
				for r.Context().Err() == nil {
					if _, err := io.WriteString(w, line); err != nil {
						return
					}
				}
			}))
			t.Cleanup(server.Close)
			bounds := limits.Default()
			bounds.FetchBytes = 1 << 20
			source := open(t, gitsync.Remote{URL: server.URL + "/repo", Limits: bounds})
			_, err := source.Fetch(t.Context(), selectBranch(t, source), nil)
			refused(t, err, "fetch_bytes")
		})
	}
}

// TestLimitsOfFetch refuses the other ways to be too large.
func TestLimitsOfFetch(t *testing.T) {
	repo := gittest.New(t)
	files := map[string]string{"a/large": strings.Repeat("x", 2000), "a/small": "x"}
	for i := range 30 {
		files["b/"+strconv.Itoa(i)] = strconv.Itoa(i)
	}
	repo.Commit("files", files)
	repo.Git("branch", strings.Repeat("long", 20))
	t.Run("objects", func(t *testing.T) {
		source, revision := bounded(t, repo, false, func(l *limits.Limits) { l.Objects = 20 })
		_, err := source.Fetch(t.Context(), revision, []string{"b"})
		refused(t, err, "objects")
	})
	t.Run("one file", func(t *testing.T) {
		source, revision := bounded(t, repo, false, func(l *limits.Limits) { l.FileBytes = 1000 })
		checkout, err := source.Fetch(t.Context(), revision, []string{"a"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := checkout.FS.Open("a/small"); err != nil {
			t.Error(err)
		}
		_, err = checkout.FS.Open("a/large")
		refused(t, err, "file_bytes")
	})
	t.Run("refs", func(t *testing.T) {
		bounds := limits.Default()
		bounds.RefsBytes = 100
		source, err := gitsync.Open(gitsync.Remote{URL: gittest.HTTP(t, repo.Root(), gittest.Options{}).URL + "/repo", Limits: bounds})
		if err != nil {
			t.Fatal(err)
		}
		_, err = source.Select(t.Context(), gitsync.Rule{Branch: "master"})
		refused(t, err, "refs_bytes")
	})
}

// TestTreesInTrees fetches 60 trees, each of which contains the one before twice: they stand
// for 2^60 folders.
func TestTreesInTrees(t *testing.T) {
	repo := gittest.New(t)
	repo.Commit("first", map[string]string{"x": "x"})
	file := filepath.Join(t.TempDir(), "tree")
	tree := repo.Git("rev-parse", "HEAD^{tree}")
	for range 60 {
		var entries bytes.Buffer
		for _, name := range []string{"a", "b"} {
			entries.WriteString("040000 tree " + strings.TrimSpace(tree) + "\t" + name + "\n")
		}
		if err := os.WriteFile(file, entries.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		tree = repo.Git("-c", "alias.make=!git mktree < "+file, "make")
	}
	commit := strings.TrimSpace(repo.Git("commit-tree", "-m", "trees", strings.TrimSpace(tree)))
	repo.Git("update-ref", "refs/heads/master", commit) // a checkout would never end
	source, revision := bounded(t, repo, false, func(*limits.Limits) {})
	if _, err := source.Fetch(t.Context(), revision, []string{"a", "b"}); err != nil {
		t.Error(err)
	}
}

// FuzzPack reads any bytes as a pack of a small budget.
func FuzzPack(f *testing.F) {
	f.Add([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00"))
	f.Add([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff\xbf\xff\xff\xff\xff"))
	repo := gittest.New(f)
	repo.Commit("files", map[string]string{"a": strings.Repeat("line\n", 100), "b": strings.Repeat("line\n", 100) + "x", "c/d": "x"})
	repo.Git("repack", "-adf")
	packs, err := filepath.Glob(filepath.Join(repo.Dir, ".git/objects/pack/*.pack"))
	if err != nil || len(packs) == 0 {
		f.Fatalf("no pack: %v", err)
	}
	for _, name := range packs {
		content, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	bounds := limits.Default()
	bounds.FetchBytes, bounds.Objects = 1<<20, 1000
	f.Fuzz(func(t *testing.T, pack []byte) {
		fuzzed.Bounded(t, func() {
			if bytes, objects, err := gitsync.ReadPack(pack, bounds); err == nil && (bytes > bounds.FetchBytes || objects > bounds.Objects) {
				t.Errorf("%d objects of %s", objects, bytes)
			}
		})
	})
}
