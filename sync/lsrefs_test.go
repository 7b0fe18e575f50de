package sync_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// crowded makes a repository with so many other branches and tags.
func crowded(tb testing.TB, others int) *gittest.Repo {
	tb.Helper()
	made := example(tb)
	made.Tag("release-1")
	head := made.Head()
	made.Git("pack-refs", "--all")
	var refs strings.Builder
	refs.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	for n := range others / 2 {
		fmt.Fprintf(&refs, "%s refs/heads/feature-%06d\n", head, n)
	}
	fmt.Fprintf(&refs, "%s refs/heads/master\n%s refs/tags/release-1\n", head, head)
	for n := range others / 2 {
		fmt.Fprintf(&refs, "%s refs/tags/v%06d\n", head, n)
	}
	if err := os.WriteFile(filepath.Join(made.Dir, ".git", "packed-refs"), []byte(refs.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	return made
}

// A list has the refs that the rule follows, however many others there are, where the server speaks
// version 2. Others answer with all of them. So does each connection for a fetch that is not over
// HTTP, as for new tags.
func TestOnlyFollowedRefs(t *testing.T) {
	made := crowded(t, 400)
	bound := limits.Default()
	bound.RefsBytes = 4 << 10
	for name, test := range map[string]struct {
		kind string
		all  bool
	}{
		"http": {"http", false}, "a proxy drops the header": {"http", true},
		"ssh": {"ssh", false}, "sshd refuses the variable": {"ssh", true},
		"git": {"git", false},
	} {
		t.Run(name, func(t *testing.T) {
			at := remote(t, test.kind, made.Root(), gittest.Options{Version0: test.all})
			whole := open(t, at)
			at.Limits = bound
			repo := open(t, at)
			for range 2 { // the second list may begin at once
				rev, err := repo.Select(t.Context(), gitsync.Rule{Branch: "master"})
				if test.all != errors.Is(err, limits.ErrExceeded) || !test.all && rev.Commit != made.Head() {
					t.Errorf("%+v, %v", rev, err)
				}
				if test.kind != "http" {
					continue
				}
				tags, err := repo.Tags(t.Context(), "^release-[0-9]+$")
				if test.all != errors.Is(err, limits.ErrExceeded) || !test.all && (len(tags) != 1 || tags[0].Name != "release-1") {
					t.Errorf("%v, %v", tags, err)
				}
			}
			if rev := selectBranch(t, whole); rev.Commit != made.Head() {
				t.Errorf("with all refs: %+v", rev)
			}
			fetch(t, whole, nodeDir)
			_, err := whole.Select(t.Context(), gitsync.Rule{Branch: "mast"}) // the beginning of a name
			expect(t, err, gitsync.ErrNotFound, `no branch "mast"`, "feature-000000")
			_, err = whole.Tags(t.Context(), "^release-x")
			expect(t, err, gitsync.ErrNotFound, "no tag", "release-1")
			if tags, err := whole.Tags(t.Context(), "(?i)^RELEASE"); err != nil || len(tags) != 1 {
				t.Errorf("%v, %v", tags, err)
			}
		})
	}
}

// A greeting over HTTP is read only as far as the capabilities before a fetch.
func TestFetchNeedsNoList(t *testing.T) {
	made := crowded(t, 100_000)
	server := gittest.HTTP(t, made.Root(), gittest.Options{})
	repo := open(t, gitsync.Remote{URL: server.URL + "/repo"})
	fetch(t, repo, nodeDir)
	if sent := server.Sent(); sent > 3_000_000 { // the list of all refs has 6.5 MB; the rest is in buffers
		t.Errorf("%d bytes for the first commit", sent)
	}
	selectBranch(t, repo)
	if sent := server.Sent(); sent > 400 {
		t.Errorf("%d bytes for a look without a change", sent)
	}
}

const (
	greetsVersion2 = "000eversion 2\n000cls-refs\n0000"
	someHash       = "1111111111111111111111111111111111111111"
)

func line(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }

// TestHostileLists has servers answer what no git does.
func TestHostileLists(t *testing.T) {
	master := line(someHash + " refs/heads/master\n")
	for name, test := range map[string]struct{ greets, lists, says string }{
		"more than was asked for":  {greetsVersion2, line(someHash+" refs/heads/other\n") + master + "0000", ""},
		"attributes":               {greetsVersion2, line(someHash+" refs/heads/master symref-target:x peeled:y\n") + "0000", ""},
		"a service line before":    {line("# service=git-upload-pack\n") + "0000" + greetsVersion2, master + "0000", ""},
		"no such branch":           {greetsVersion2, "0000", "has no branch"},
		"not a hash":               {greetsVersion2, line("zzz refs/heads/master\n") + "0000", "is not a ref"},
		"a short hash":             {greetsVersion2, line("1111 refs/heads/master\n") + "0000", "is not a ref"},
		"no name":                  {greetsVersion2, line(someHash+"\n") + "0000", "is not a ref"},
		"an unborn branch":         {greetsVersion2, line("unborn HEAD symref-target:refs/heads/master\n") + "0000", "is not a ref"},
		"no end":                   {greetsVersion2, master, "unexpected EOF"},
		"nothing":                  {greetsVersion2, "", "unexpected EOF"},
		"not packets":              {greetsVersion2, "<html>", "invalid pkt-len"},
		"an error":                 {greetsVersion2, line("ERR no lists today\n"), "no lists today"},
		"other objects":            {"000eversion 2\n000cls-refs\n" + line("object-format=sha256\n") + "0000", "", "sha256"},
		"no lists":                 {"000eversion 2\n" + line("fetch\n") + "0000", "", "does not list refs"},
		"a greeting without end":   {"000eversion 2\n000cls-refs\n", "", "unexpected EOF"},
		"an endless greeting":      {"000eversion 2\n" + strings.Repeat(line(strings.Repeat("x", 1000)), 5000), "", "refs_bytes"},
		"an endless list":          {greetsVersion2, strings.Repeat(line(someHash+" refs/heads/"+strings.Repeat("x", 900)), 5000), "refs_bytes"},
		"control characters in it": {greetsVersion2, line("\x1b[31m refs/heads/master\n") + "0000", `\x1b`},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				kind, answer := "advertisement", test.greets
				if r.Method == http.MethodPost {
					kind, answer = "result", test.lists
				}
				w.Header().Set("Content-Type", "application/x-git-upload-pack-"+kind)
				_, _ = w.Write([]byte(answer))
			}))
			t.Cleanup(server.Close)
			bound := limits.Default()
			bound.RefsBytes = 1 << 20
			repo := open(t, gitsync.Remote{URL: server.URL + "/repo", Limits: bound})
			rev, err := repo.Select(t.Context(), gitsync.Rule{Branch: "master"})
			if test.says == "" {
				if err != nil || rev.Commit != someHash {
					t.Errorf("%+v, %v", rev, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("error %q does not say %q", err, test.says)
			}
		})
	}
}

// changing serves a repository by a server that, once a switch is set, has other options.
func changing(t *testing.T, made *gittest.Repo, later gittest.Options) (url string, changed *atomic.Bool) {
	t.Helper()
	before, err := gittest.Handler(made.Root(), gittest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	after, err := gittest.Handler(made.Root(), later)
	if err != nil {
		t.Fatal(err)
	}
	changed = &atomic.Bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if changed.Load() {
			after.ServeHTTP(w, r)
			return
		}
		before.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/repo", changed
}

// A server that spoke version 2 and no longer does is asked anew.
func TestVersionTakenBack(t *testing.T) {
	made := example(t)
	url, old := changing(t, made, gittest.Options{Version0: true})
	repo := open(t, gitsync.Remote{URL: url})
	for i, step := range []struct{ old, fails bool }{{false, false}, {true, true}, {true, false}, {true, false}, {false, false}} {
		old.Store(step.old)
		rev, err := repo.Select(t.Context(), gitsync.Rule{Branch: "master"})
		if (err != nil) != step.fails || err == nil && rev.Commit != made.Head() {
			t.Errorf("list %d: %+v, %v", i+1, rev, err)
		}
	}
}

// A server that no longer offers filters is asked anew what it offers, at the latest after a fetch
// that relied on the earlier offer.
func TestOfferTakenBack(t *testing.T) {
	made := example(t)
	url, whole := changing(t, made, gittest.Options{Whole: true})
	repo := open(t, gitsync.Remote{URL: url})
	fetch(t, repo, nodeDir)
	whole.Store(true)
	made.Commit("Change", map[string]string{nodeDir + "/node.env": "TAG=2\n"})
	rev := selectBranch(t, repo)
	_, first := repo.Fetch(t.Context(), rev, []string{nodeDir})
	if _, err := repo.Fetch(t.Context(), rev, []string{nodeDir}); err != nil {
		t.Errorf("the first fetch: %v, the second: %v", first, err)
	}
}

// A list of branches for a hint that fails does not say that there are none.
func TestNoListForAHint(t *testing.T) {
	lists := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, answer := "advertisement", greetsVersion2
		if r.Method == http.MethodPost {
			kind, answer = "result", "0000"
			if lists++; lists > 1 {
				answer = line("ERR later\n")
			}
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-"+kind)
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	_, err := open(t, gitsync.Remote{URL: server.URL + "/repo"}).Select(t.Context(), gitsync.Rule{Branch: "master"})
	expect(t, err, gitsync.ErrNotFound, "has no branch", "push the branch")
	if hint := fault.Hint(err); strings.Contains(hint, "has no branches") {
		t.Errorf("hint %q", hint)
	}
}
