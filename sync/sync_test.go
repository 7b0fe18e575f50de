package sync_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

const (
	nodeDir = "environments/sandbox/nodes/node3"
	token   = "glpat-canary-4711"
)

// example makes a typical repository.
func example(tb testing.TB) *gittest.Repo {
	tb.Helper()
	repo := gittest.New(tb)
	repo.Commit("Set up sandbox\n\nWith two nodes.", map[string]string{
		"environments/sandbox/config.yml":                         "environment: sandbox\n",
		"environments/sandbox/common/project.env":                 "A=1\n",
		nodeDir + "/docker-compose.yml":                           "services: {}\n",
		nodeDir + "/node.env":                                     "TAG=1\n",
		nodeDir + "/secrets/db.enc":                               "{}\n",
		"environments/sandbox/nodes/node4/docker-compose.yml":     "services: {}\n# node4\n",
		"environments/sandbox/nodes/node4/project.env":            "B=2\n",
		"environments/sandbox/nodes/node4/docker-compose-old.yml": "-> docker-compose.yml",
	})
	return repo
}

// kinds lists the kinds of remotes.
var kinds = []string{"https", "http", "ssh", "git", "file", "path"}

// remote serves root and returns the Remote of its repository with the name repo.
func remote(tb testing.TB, kind, root string, options gittest.Options) gitsync.Remote {
	tb.Helper()
	switch kind {
	case "https":
		server, ca := gittest.HTTPS(tb, root, gittest.Options{Whole: options.Whole, Token: token})
		return gitsync.Remote{URL: server.URL + "/repo", TokenFile: private(tb, token+"\n"), CAFile: ca}
	case "http":
		return gitsync.Remote{URL: gittest.HTTP(tb, root, options).URL + "/repo"}
	case "ssh":
		server := gittest.SSH(tb, root, options)
		return gitsync.Remote{URL: server.URL + "/repo", KeyFile: server.KeyFile, KnownHostsFile: server.KnownHostsFile}
	case "git":
		return gitsync.Remote{URL: gittest.Daemon(tb, root, options).URL + "/repo"}
	case "file":
		return gitsync.Remote{URL: "file://" + filepath.Join(root, "repo")}
	default:
		return gitsync.Remote{URL: filepath.Join(root, "repo")}
	}
}

func private(tb testing.TB, content string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "private")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

func open(tb testing.TB, remote gitsync.Remote) *gitsync.Repository {
	tb.Helper()
	repo, err := gitsync.Open(remote)
	if err != nil {
		tb.Fatal(err)
	}
	return repo
}

func selectBranch(tb testing.TB, repo *gitsync.Repository) gitsync.Revision {
	tb.Helper()
	rev, err := repo.Select(tb.Context(), gitsync.Rule{Branch: "master"})
	if err != nil {
		tb.Fatal(err)
	}
	return rev
}

func fetch(tb testing.TB, repo *gitsync.Repository, prefetch ...string) *gitsync.Checkout {
	tb.Helper()
	checkout, err := repo.Fetch(tb.Context(), selectBranch(tb, repo), prefetch)
	if err != nil {
		tb.Fatal(err)
	}
	return checkout
}

func read(tb testing.TB, checkout *gitsync.Checkout, name string) string {
	tb.Helper()
	content, err := fs.ReadFile(checkout.FS, name)
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

// everyKind runs a test with each kind of remote, with and without filters.
func everyKind(t *testing.T, test func(t *testing.T, kind string, options gittest.Options)) {
	t.Helper()
	for _, kind := range kinds {
		for name, options := range map[string]gittest.Options{"filter": {}, "whole": {Whole: true}} {
			t.Run(kind+"/"+name, func(t *testing.T) { test(t, kind, options) })
		}
	}
}

func TestFollowBranch(t *testing.T) {
	everyKind(t, func(t *testing.T, kind string, options gittest.Options) {
		t.Helper()
		made := example(t)
		repo := open(t, remote(t, kind, made.Root(), options))
		checkout := fetch(t, repo, nodeDir, "environments/sandbox/config.yml", "not/there")
		want := gitsync.Revision{
			Commit: made.Head(), Ref: "master", Author: "Ada Engineer <ada@coin.example>",
			Subject: "Set up sandbox", Time: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC),
		}
		if diff := cmp.Diff(want, checkout.Revision); diff != "" {
			t.Error(diff)
		}
		if got := read(t, checkout, nodeDir+"/node.env"); got != "TAG=1\n" {
			t.Errorf("prefetched file: %q", got)
		}
		if got := read(t, checkout, "environments/sandbox/nodes/node4/docker-compose-old.yml"); !strings.Contains(got, "# node4") {
			t.Errorf("lazy file through a link: %q", got)
		}

		next := made.Commit("Raise tag", map[string]string{nodeDir + "/node.env": "TAG=2\n"})
		after := fetch(t, repo)
		if after.Revision.Commit != next || read(t, after, nodeDir+"/node.env") != "TAG=2\n" {
			t.Errorf("the second fetch returned %+v", after.Revision)
		}
		if got := read(t, checkout, nodeDir+"/node.env"); got != "TAG=1\n" {
			t.Errorf("the first checkout changed: %q", got)
		}
	})
}

func TestForcePush(t *testing.T) {
	everyKind(t, func(t *testing.T, kind string, options gittest.Options) {
		t.Helper()
		made := example(t)
		first := made.Head()
		second := made.Commit("Second", map[string]string{nodeDir + "/node.env": "TAG=2\n"})
		third := made.Commit("Third", map[string]string{nodeDir + "/node.env": "TAG=3\n"})
		repo := open(t, remote(t, kind, made.Root(), options))
		fetch(t, repo, nodeDir)
		descends := func(older, newer string, want bool) {
			t.Helper()
			got, err := repo.Descends(t.Context(), older, newer)
			if err != nil || got != want {
				t.Errorf("Descends(%.7s, %.7s) = %t, %v; want %t", older, newer, got, err, want)
			}
		}
		descends(first, third, true)
		descends(second, third, true)
		descends(third, third, true)
		descends("0123456789012345678901234567890123456789", third, false)

		made.Reset(first)
		checkout := fetch(t, repo, nodeDir)
		if checkout.Revision.Commit != first || read(t, checkout, nodeDir+"/node.env") != "TAG=1\n" {
			t.Errorf("after a force push to an older commit: %+v", checkout.Revision)
		}
		descends(third, first, false)
		other := made.Commit("Other", map[string]string{nodeDir + "/node.env": "TAG=4\n"})
		descends(third, other, false)
		descends(first, other, true)
		made.Git("reflog", "expire", "--expire=now", "--all")
		made.Git("gc", "--prune=now", "--quiet")
		descends(third, other, false)
		local := kind == "file" || kind == "path"
		if descends, err := repo.Descends(t.Context(), other, third); descends || local != (err == nil) || !local && !errors.Is(err, gitsync.ErrNotFound) {
			t.Errorf("of a commit that is gone: %t, %v", descends, err)
		}
	})
}

// TestTags lists the tags on commits, whatever their kind; tags on other objects and those
// with other names are left out.
func TestTags(t *testing.T) {
	everyKind(t, func(t *testing.T, kind string, options gittest.Options) {
		t.Helper()
		made := example(t)
		repo := open(t, remote(t, kind, made.Root(), options))
		first := made.Head()
		made.Annotate("2025-01-01-aaaaaaaaaa")
		second := made.Commit("Second", map[string]string{nodeDir + "/node.env": "TAG=2\n"})
		made.Tag("2024-01-01-bbbbbbbbbb")
		made.Tag("v9") // does not match
		made.Git("tag", "--annotate", "--message", "tag of a tag", "2020-01-01-eeeeeeeeee", "2025-01-01-aaaaaaaaaa")
		made.Git("tag", "2026-01-01-ffffffffff", "HEAD^{tree}") // not on a commit
		want := []gitsync.Tag{{Name: "2020-01-01-eeeeeeeeee", Commit: first}, {Name: "2024-01-01-bbbbbbbbbb", Commit: second}, {Name: "2025-01-01-aaaaaaaaaa", Commit: first}}
		wantTags := func() {
			t.Helper()
			tags, err := repo.Tags(t.Context(), `^\d{4}-\d{2}-\d{2}-[a-f0-9]{10}$`)
			if diff := cmp.Diff(want, tags); diff != "" || err != nil {
				t.Errorf("%v:\n%s", err, diff)
			}
		}
		wantTags()
		made.Git("tag", "--delete", "2020-01-01-eeeeeeeeee")
		made.Git("tag", "--force", "2025-01-01-aaaaaaaaaa", second)
		want = []gitsync.Tag{want[1], {Name: "2025-01-01-aaaaaaaaaa", Commit: second}}
		wantTags()
		checkout, err := repo.Fetch(t.Context(), want[1].Revision(), []string{nodeDir})
		if err != nil {
			t.Fatal(err)
		}
		read(t, checkout, nodeDir+"/node.env")
	})
}

func TestRequests(t *testing.T) {
	refs, pack := "GET /repo/info/refs", "POST /repo/git-upload-pack"
	made := example(t)
	made.Annotate("v1")
	for name, c := range map[string]struct {
		options     gittest.Options
		fetch, lazy []string
	}{
		"filter": {gittest.Options{}, []string{refs, pack, pack}, []string{pack}},
		"whole":  {gittest.Options{Whole: true}, []string{refs, pack}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			server := gittest.HTTP(t, made.Root(), c.options)
			repo := open(t, gitsync.Remote{URL: server.URL + "/repo"})
			asked := func(what string, want []string) {
				t.Helper()
				if diff := cmp.Diff(want, server.Requests()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
			rev := selectBranch(t, repo)
			asked("first poll", []string{refs, pack})
			selectBranch(t, repo)
			asked("poll without change", []string{pack}) // a list of refs by version 2
			checkout, err := repo.Fetch(t.Context(), rev, []string{nodeDir, nodeDir + "/node.env"})
			if err != nil {
				t.Fatal(err)
			}
			asked("fetch", c.fetch)
			for _, name := range []string{"/node.env", "/docker-compose.yml", "/secrets/db.enc"} {
				read(t, checkout, nodeDir+name)
			}
			asked("prefetched reads", nil)
			for range 2 {
				read(t, checkout, "environments/sandbox/nodes/node4/project.env")
			}
			asked("lazy read, twice", c.lazy)
			checkout.Same(checkout.Inputs())
			asked("comparison", nil)
			for i, want := range [][]string{{pack, pack}, {pack}} {
				if _, err := repo.Tags(t.Context(), "^v"); err != nil {
					t.Fatal(err)
				}
				asked([]string{"first look at a tag", "second"}[i], want)
			}
			if _, err := open(t, gitsync.Remote{URL: server.URL + "/repo"}).Fetch(t.Context(), rev, nil); err != nil {
				t.Fatal(err)
			}
			asked("fetch without a poll before", []string{refs, pack})
		})
	}
}

// TestRefusedBlobs uses a server that refuses an advertised capability.
func TestRefusedBlobs(t *testing.T) {
	server := gittest.HTTP(t, example(t).Root(), gittest.Options{})
	serve, refused := server.Config.Handler, 0
	strict := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.Method == http.MethodPost && !bytes.Contains(body, []byte("deepen")) && !bytes.Contains(body, []byte("ls-refs")) {
			refused++
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			_, _ = w.Write([]byte("0025ERR upload-pack: not our ref 0123"))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		serve.ServeHTTP(w, r)
	}))
	t.Cleanup(strict.Close)
	for _, prefetch := range [][]string{nil, {nodeDir}} { // the first one detects it by a lazy read
		repo := open(t, gitsync.Remote{URL: strict.URL + "/repo"})
		for range 3 {
			if got := read(t, fetch(t, repo, prefetch...), nodeDir+"/node.env"); got != "TAG=1\n" {
				t.Errorf("got %q", got)
			}
		}
	}
	if refused != 2 {
		t.Errorf("%d refusals: each of two repositories must store the first one", refused)
	}
}

func TestMovedRef(t *testing.T) {
	everyKind(t, func(t *testing.T, kind string, options gittest.Options) {
		t.Helper()
		made := example(t)
		repo := open(t, remote(t, kind, made.Root(), options))
		rev := selectBranch(t, repo)
		rev.Commit = strings.Repeat("0123456789", 4)
		_, err := repo.Fetch(t.Context(), rev, nil)
		if !errors.Is(err, gitsync.ErrNotFound) || fault.Hint(err) == "" {
			t.Errorf("a commit that does not exist: %v (hint %q)", err, fault.Hint(err))
		}
	})
}

func TestWorktreeAndBare(t *testing.T) {
	made := example(t)
	bare := filepath.Join(t.TempDir(), "bare.git")
	made.Git("clone", "--quiet", "--bare", made.Dir, bare)
	linked := filepath.Join(t.TempDir(), "linked")
	made.Git("worktree", "add", "--quiet", "-b", "side", linked)
	for _, path := range []string{bare, linked} {
		checkout := fetch(t, open(t, gitsync.Remote{URL: path}), nodeDir)
		if got := read(t, checkout, nodeDir+"/node.env"); got != "TAG=1\n" {
			t.Errorf("%s: %q", path, got)
		}
	}
	made.Git("gc", "--quiet")
	repo := open(t, gitsync.Remote{URL: made.Dir})
	checkout := fetch(t, repo)
	made.Git("repack", "-q", "-a", "-d", "-f", "--no-write-bitmap-index")
	read(t, checkout, nodeDir+"/node.env")
}
