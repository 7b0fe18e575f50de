package sync_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

const production = "environments/production/nodes/"

// listing gives all files of a checkout with the ids of git's objects. It reads no file.
func listing(tb testing.TB, checkout *gitsync.Checkout) map[string]string {
	tb.Helper()
	if err := fs.WalkDir(checkout.FS, ".", func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
		tb.Fatal(err)
	}
	return checkout.Inputs()
}

// TestOtherNodesCostNothing changes other nodes: a fetch gets only the folders that differ,
// as differences, and no file.
func TestOtherNodesCostNothing(t *testing.T) {
	made := estate(t)
	server := gittest.HTTP(t, made.Root(), gittest.Options{})
	repo := open(t, gitsync.Remote{URL: server.URL + "/repo"})
	in := listing(t, fetch(t, repo))
	first := server.Sent()
	for node := 100; node < 103; node++ {
		made.Commit("Change", map[string]string{fmt.Sprintf("%snode%d/file1.yml", production, node): "new"})
		rev := selectBranch(t, repo)
		server.Sent()
		checkout, err := repo.Fetch(t.Context(), rev, nil)
		if err != nil {
			t.Fatal(err)
		}
		if sent := server.Sent(); sent > 1500 || first < 30_000 {
			t.Errorf("a commit costs %d bytes, the first fetch %d", sent, first)
		}
		in = checkOther(t, checkout, in, path.Join(production, fmt.Sprintf("node%d/file1.yml", node)))
	}
	rev := selectBranch(t, repo)
	server.Requests()
	if _, err := repo.Fetch(t.Context(), rev, nil); err != nil || len(server.Requests()) != 0 {
		t.Errorf("the same commit is asked for again: %v", err)
	}
}

// checkOther compares a checkout with the inputs before one file was changed. Folders have the
// same names as before.
func checkOther(t *testing.T, checkout *gitsync.Checkout, before gitsync.Inputs, changed string) gitsync.Inputs {
	t.Helper()
	after := gitsync.Inputs(listing(t, checkout))
	for name, input := range after {
		if (input != before[name]) != (name == changed) || len(after) != len(before) {
			t.Errorf("%s: %q, before %q", name, input, before[name])
		}
	}
	return after
}

// TestKnownFolders fetches random changes by one repository that knows the commits before, and
// by new ones: both see the same. History is rewritten, and commits that are known vanish.
func TestKnownFolders(t *testing.T) {
	for _, kind := range []string{"http", "ssh"} {
		t.Run(kind, func(t *testing.T) {
			made := example(t)
			at := remote(t, kind, made.Root(), gittest.Options{})
			repo, random := open(t, at), rand.New(rand.NewPCG(1, 2))
			commits := []string{made.Head()}
			for range 12 {
				switch random.IntN(6) {
				case 0:
					made.Reset(commits[random.IntN(len(commits))])
					made.Git("reflog", "expire", "--expire=now", "--all")
					made.Git("gc", "--quiet", "--prune=now")
					commits = strings.Fields(made.Git("rev-list", "--reverse", "HEAD"))
				default:
					for range random.IntN(3) + 1 {
						name := fmt.Sprintf("environments/sandbox/nodes/n%d/f%d", random.IntN(4), random.IntN(4))
						commits = append(commits, made.Commit("Change", map[string]string{name: fmt.Sprint("x", random.Uint64())}))
					}
				}
				got, want := fetch(t, repo, "environments"), fetch(t, open(t, at), "environments")
				if diff := cmp.Diff(listing(t, want), listing(t, got)); diff != "" {
					t.Fatal(diff)
				}
				for _, name := range slices.Sorted(maps.Keys(listing(t, want))) {
					if info, err := fs.Stat(want.FS, name); err == nil && info.Mode().IsRegular() && read(t, got, name) != read(t, want, name) {
						t.Errorf("%s differs", name)
					}
				}
			}
		})
	}
}

// TestFoldersAreMissing has a server whose answers lack folders for a while. The agent reads the
// same commit, and the next one, once they are there.
func TestFoldersAreMissing(t *testing.T) {
	made := example(t)
	handler, err := gittest.Handler(made.Root(), gittest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	broken := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if broken {
			body = bytes.Replace(body, []byte("0015filter blob:none\n"), []byte("0012filter tree:1\n"), 1)
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	repo := open(t, gitsync.Remote{URL: server.URL + "/repo"})
	for n := range 3 {
		broken = true
		if checkout, err := repo.Fetch(t.Context(), selectBranch(t, repo), nil); err == nil {
			if _, err := fs.ReadFile(checkout.FS, nodeDir+"/node.env"); err == nil {
				t.Error("the folder is not missing")
			}
		}
		broken = false
		if got, want := read(t, fetch(t, repo), nodeDir+"/node.env"), read(t, fetch(t, open(t, gitsync.Remote{URL: server.URL + "/repo"})), nodeDir+"/node.env"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		made.Commit("Change", map[string]string{nodeDir + "/node.env": fmt.Sprint(n)})
	}
}

// TestKnownFoldersStayFew changes everything again and again.
func TestKnownFoldersStayFew(t *testing.T) {
	made := example(t)
	server := gittest.HTTP(t, made.Root(), gittest.Options{})
	repo := open(t, gitsync.Remote{URL: server.URL + "/repo"})
	most := 0
	for n := range 40 {
		made.Commit("Change", map[string]string{nodeDir + "/node.env": fmt.Sprint(n), "environments/sandbox/nodes/node4/project.env": fmt.Sprint(n)})
		fetch(t, repo)
		most = max(most, repo.Known())
	}
	if whole := open(t, gitsync.Remote{URL: server.URL + "/repo"}); most == 0 || most > 2*func() int { fetch(t, whole); return whole.Known() }() {
		t.Errorf("keeps %d bytes of folders", most)
	}
}
