package sync_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// expect checks an error: its kind, its text, its hint, and that it contains no credential
// in any form of printing.
func expect(t *testing.T, err, kind error, says, hint string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if kind != nil && !errors.Is(err, kind) {
		t.Errorf("not %q: %v", kind, err)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("error %q does not say %q", err, says)
	}
	if got := fault.Hint(err); !strings.Contains(got, hint) || got == "" {
		t.Errorf("hint %q does not say %q", got, hint)
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		if all := fmt.Sprintf("%v %+v %#v", inner, inner, inner); strings.Contains(all, token) {
			t.Errorf("the error contains the token: %s", all)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	key, hosts := private(t, "not a key\n"), private(t, "")
	wide := filepath.Join(t.TempDir(), "wide")
	if err := os.WriteFile(wide, []byte(token), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(wide, 0o640); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		remote     gitsync.Remote
		says, hint string
	}{
		"nothing":           {gitsync.Remote{}, "no URL", "URL"},
		"token as password": {gitsync.Remote{URL: "https://oauth2:" + token + "@host/repo.git"}, "contains a user, password or query", "file"},
		"token as user":     {gitsync.Remote{URL: "https://" + token + "@host/repo.git"}, "contains a user", "https://host/repo.git"},
		"token in query":    {gitsync.Remote{URL: "https://host/repo.git?private_token=" + token}, "query", "file"},
		"password over ssh": {gitsync.Remote{URL: "ssh://git:" + token + "@host/repo.git"}, "password", "ssh://host/repo.git"},
		"password in short": {gitsync.Remote{URL: "git:" + token + "@host:repo.git"}, "is not valid", "without a password"},
		"not a URL":         {gitsync.Remote{URL: "https://u:" + token + "@ho st/x"}, "is not valid", "https://"},
		"unknown scheme":    {gitsync.Remote{URL: "ftp://host/repo"}, "unknown URL scheme", "https://"},
		"no path":           {gitsync.Remote{URL: "https://host/"}, "path is missing", "https://"},
		"plain http":        {gitsync.Remote{URL: "http://git.example/repo", TokenFile: private(t, token)}, "plain http", "https"},
		"no token file":     {gitsync.Remote{URL: "https://host/repo", TokenFile: "/nonexistent"}, "token file", "create the file"},
		"empty token file":  {gitsync.Remote{URL: "https://host/repo", TokenFile: private(t, "\n")}, "empty", "write"},
		"token of group":    {gitsync.Remote{URL: "https://host/repo", TokenFile: wide}, "mode 0640", "chmod 600"},
		"no CA":             {gitsync.Remote{URL: "https://host/repo", CAFile: private(t, "x")}, "no certificate", "PEM"},
		"no key":            {gitsync.Remote{URL: "git@host:repo"}, "needs a key file", "deploy key"},
		"no known hosts":    {gitsync.Remote{URL: "ssh://git@host/repo", KeyFile: key}, "needs a known_hosts file", "ssh-keyscan"},
		"key of group":      {gitsync.Remote{URL: "git@host:repo", KeyFile: wide, KnownHostsFile: hosts}, "mode 0640", "chmod 600"},
		"not a key":         {gitsync.Remote{URL: "git@host:repo", KeyFile: key, KnownHostsFile: hosts}, "does not contain a private key", "OpenSSH"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := gitsync.Open(c.remote)
			expect(t, err, nil, c.says, c.hint)
		})
	}
}

func TestSelectRefuses(t *testing.T) {
	made := example(t)
	for _, branch := range []string{"a", "b", "c", "d", "e"} {
		made.Git("branch", branch)
	}
	repo := open(t, gitsync.Remote{URL: made.Dir})
	for name, c := range map[string]struct {
		branch     string
		pattern    string
		kind       error
		says, hint string
	}{
		"neither":     {"", "", nil, "the rule has no branch", "set a branch"},
		"bad pattern": {"", "(", nil, "tag pattern", `^\d`},
		"no branch":   {"main", "", gitsync.ErrNotFound, `no branch "main"`, "branches a, b, c, d, e and 1 more"},
		"no tag":      {"", "^v", gitsync.ErrNotFound, "matches ^v", "no tags"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := repo.Select(t.Context(), gitsync.Rule{Branch: c.branch})
			if c.pattern != "" {
				_, err = repo.Tags(t.Context(), c.pattern)
			}
			expect(t, err, c.kind, c.says, c.hint)
			if got := fault.CodeOf(err); c.kind != nil && got != fault.CodeBranch {
				t.Errorf("the code is %q", got)
			}
		})
	}
	everyKind(t, func(t *testing.T, kind string, options gittest.Options) {
		t.Helper()
		empty := open(t, remote(t, kind, gittest.New(t).Root(), options))
		_, err := empty.Select(t.Context(), gitsync.Rule{Branch: "master"})
		expect(t, err, gitsync.ErrNotFound, `no branch "master"`, "the remote has no branches")
	})
}

func TestStatuses(t *testing.T) {
	server := gittest.HTTP(t, example(t).Root(), gittest.Options{})
	file := private(t, token)
	repo := open(t, gitsync.Remote{URL: server.URL + "/repo", TokenFile: file})
	for status, c := range map[int]struct {
		kind       error
		says, hint string
	}{
		401: {gitsync.ErrAuth, "401 Unauthorized", file},
		403: {gitsync.ErrAuth, "403 Forbidden", "read_repository"},
		404: {gitsync.ErrNotFound, "404 Not Found", "URL"},
		429: {gitsync.ErrUnreachable, "429 Too Many Requests", "again"},
		502: {gitsync.ErrUnreachable, "502 Bad Gateway", "again"},
		418: {nil, "418", "git ls-remote"},
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			server.Fail(status)
			_, err := repo.Select(t.Context(), gitsync.Rule{Branch: "master"})
			expect(t, err, c.kind, "list refs of "+server.URL+"/repo: ", c.hint)
			expect(t, err, c.kind, c.says, c.hint)
		})
	}
	server.Fail(0)
	selectBranch(t, repo)
}

func TestTokenRotates(t *testing.T) {
	server := gittest.HTTP(t, example(t).Root(), gittest.Options{Token: token})
	file := private(t, "glpat-old")
	repo := open(t, gitsync.Remote{URL: server.URL + "/repo", TokenFile: file})
	_, err := repo.Select(t.Context(), gitsync.Rule{Branch: "master"})
	expect(t, err, gitsync.ErrAuth, "refuses the token", file)
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	fetch(t, repo, nodeDir)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, err = repo.Select(t.Context(), gitsync.Rule{Branch: "master"})
	expect(t, err, gitsync.ErrAuth, "read the token file", "create the file")
}

func TestNoSuchRepository(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			to := remote(t, kind, example(t).Root(), gittest.Options{})
			to.URL += "-gone"
			_, err := open(t, to).Select(t.Context(), gitsync.Rule{Branch: "master"})
			expect(t, err, gitsync.ErrNotFound, "repo-gone", "check the")
			if got := fault.CodeOf(err); got != fault.CodeGit {
				t.Errorf("the code is %q", got)
			}
		})
	}
}

func TestHostKeys(t *testing.T) {
	made := example(t)
	server, other := gittest.SSH(t, made.Root(), gittest.Options{}), gittest.SSH(t, made.Root(), gittest.Options{})
	mine, err := os.ReadFile(server.KnownHostsFile)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(other.KnownHostsFile)
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(string(mine), " ")
	_, impostor, _ := strings.Cut(string(theirs), " ")
	for _, c := range []struct{ name, hosts, key, says, hint string }{
		{"unknown", "", server.KeyFile, "host's key is not in", "ssh-keyscan"},
		{"changed", name + " " + impostor, server.KeyFile, "host's key differs from the one in", "ask the owner of the host"},
		{"other key", string(mine), other.KeyFile, "refuses the key", "deploy key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			repo := open(t, gitsync.Remote{URL: server.URL + "/repo", KeyFile: c.key, KnownHostsFile: private(t, c.hosts)})
			_, err := repo.Select(t.Context(), gitsync.Rule{Branch: "master"})
			expect(t, err, gitsync.ErrAuth, c.says, c.hint)
		})
	}
}

func TestUnreachable(t *testing.T) {
	const addr = "127.0.0.1:1" // which no program takes meanwhile
	ssh := remote(t, "ssh", example(t).Root(), gittest.Options{})
	for _, scheme := range []string{"http", "https", "git", "ssh"} {
		t.Run(scheme, func(t *testing.T) {
			repo := open(t, gitsync.Remote{URL: scheme + "://" + addr + "/repo", KeyFile: ssh.KeyFile, KnownHostsFile: ssh.KnownHostsFile})
			_, err := repo.Select(t.Context(), gitsync.Rule{Branch: "master"})
			expect(t, err, gitsync.ErrUnreachable, "connection refused", "check that the remote is up")
		})
	}
	server, _ := gittest.HTTPS(t, example(t).Root(), gittest.Options{})
	_, err := open(t, gitsync.Remote{URL: server.URL + "/repo"}).Select(t.Context(), gitsync.Rule{Branch: "master"})
	expect(t, err, gitsync.ErrUnreachable, "certificate signed by unknown authority", "ca_file")
}

// TestHangs uses servers that accept a connection or a request and do not answer.
func TestHangs(t *testing.T) {
	made := example(t)
	web := gittest.HTTP(t, made.Root(), gittest.Options{})
	ssh, daemon := gittest.SSH(t, made.Root(), gittest.Options{}), gittest.Daemon(t, made.Root(), gittest.Options{})
	stalls := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_, _ = w.Write([]byte("001e# service=git-upload-pack\n0000"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(stalls.Close)
	for name, to := range map[string]gitsync.Remote{
		"http":      {URL: web.URL + "/repo"},
		"http half": {URL: stalls.URL + "/repo"},
		"ssh":       {URL: ssh.URL + "/repo", KeyFile: ssh.KeyFile, KnownHostsFile: ssh.KnownHostsFile},
		"git":       {URL: daemon.URL + "/repo"},
	} {
		t.Run(name, func(t *testing.T) {
			web.Hang(func(*http.Request) bool { return true })
			ssh.Hang(true)
			daemon.Hang(true)
			bounded := func(what string, timeout time.Duration, ctx context.Context, kind error, says string) {
				t.Helper()
				to.Timeout = timeout
				_, err := open(t, to).Select(ctx, gitsync.Rule{Branch: "master"})
				if !errors.Is(err, kind) || !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %v", what, err)
				}
			}
			bounded("silence", 150*time.Millisecond, t.Context(), gitsync.ErrUnreachable, "does not answer")
			ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
			defer cancel()
			bounded("deadline", time.Hour, ctx, gitsync.ErrUnreachable, "in time")
			ctx, stop := context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, stop)
			bounded("cancel", time.Hour, ctx, context.Canceled, "canceled")
		})
	}
	web.Hang(nil)
	rev := selectBranch(t, open(t, gitsync.Remote{URL: web.URL + "/repo"}))
	web.Hang(func(r *http.Request) bool { return r.Method == http.MethodPost })
	_, err := open(t, gitsync.Remote{URL: web.URL + "/repo", Timeout: 150 * time.Millisecond}).Fetch(t.Context(), rev, nil)
	expect(t, err, gitsync.ErrUnreachable, "fetch from", "check that the remote is up")
}

func TestRedirects(t *testing.T) {
	made := example(t)
	server := gittest.HTTP(t, made.Root(), gittest.Options{Token: token})
	away := httptest.NewServer(http.RedirectHandler(server.URL+"/repo/info/refs?service=git-upload-pack", http.StatusFound))
	t.Cleanup(away.Close)
	to := gitsync.Remote{URL: away.URL + "/old", TokenFile: private(t, token)}
	_, err := open(t, to).Select(t.Context(), gitsync.Rule{Branch: "master"})
	expect(t, err, nil, "the remote redirects to "+server.URL+"/repo", "set the remote's URL")
	if asked := server.Requests(); asked != nil {
		t.Errorf("the token was sent: %v", asked)
	}

	handler := server.Config.Handler
	within := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/old/"); ok {
			http.Redirect(w, r, "/repo/"+rest+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(within.Close)
	to.URL = within.URL + "/old"
	fetch(t, open(t, to), nodeDir)
}

func TestNotGit(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<html>Sign in</html>"))
	}))
	t.Cleanup(page.Close)
	_, err := open(t, gitsync.Remote{URL: page.URL + "/repo"}).Select(t.Context(), gitsync.Rule{Branch: "master"})
	expect(t, err, nil, "a login page?", "git ls-remote")
}
