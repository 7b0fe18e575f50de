package gittest_test

import (
	"net/http/httptest"
	"path/filepath"
	"testing"

	"coin.internal/coin-agent/sync/gittest"
)

func TestPush(t *testing.T) {
	made := gittest.New(t)
	made.Commit("First", map[string]string{"a": "1\n"})
	made.Git("clone", "--quiet", "--bare", made.Dir, filepath.Join(made.Root(), "bare.git"))
	handler, err := gittest.Handler(made.Root(), gittest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	for _, name := range []string{"/repo", "/bare.git"} {
		clone := filepath.Join(t.TempDir(), "clone")
		made.Git("clone", "--quiet", server.URL+name, clone)
		made.Git("-C", clone, "commit", "--quiet", "--allow-empty", "--message", "Second")
		pushed := made.Git("-C", clone, "rev-parse", "HEAD")
		made.Git("-C", clone, "push", "--quiet", "origin", "master")
		if got := made.Git("ls-remote", server.URL+name, "refs/heads/master"); got != pushed+"\trefs/heads/master" {
			t.Errorf("%s: pushed %s, got %q", name, pushed, got)
		}
	}
}

func TestSameHashes(t *testing.T) {
	var heads [2]string
	for i := range heads {
		made := gittest.New(t)
		made.Commit("First", map[string]string{"a": "1\n", "b/c": "-> ../a"})
		made.Annotate("v1")
		heads[i] = made.Commit("Second", map[string]string{"a": ""}) + made.Git("rev-parse", "v1")
	}
	if heads[0] != heads[1] {
		t.Errorf("%s and %s", heads[0], heads[1])
	}
}
