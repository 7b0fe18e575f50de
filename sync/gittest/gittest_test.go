package gittest_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
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

// TestRemember looks at a repository before and after a commit, and at one that is made later.
func TestRemember(t *testing.T) {
	made := gittest.New(t)
	server := gittest.HTTP(t, made.Root(), gittest.Options{Remember: true})
	for _, message := range []string{"First", "Second"} {
		want := made.Commit(message, map[string]string{"a": message}) + "\trefs/heads/master"
		for range 2 {
			if got := made.Git("ls-remote", server.URL+"/repo", "refs/heads/master"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
	if err := os.Rename(filepath.Join(made.Dir, ".git", "objects"), filepath.Join(made.Root(), "objects")); err != nil {
		t.Fatal(err)
	}
	made.Git("ls-remote", server.URL+"/repo", "refs/heads/master") // git itself could not answer any more
	if err := os.Rename(filepath.Join(made.Root(), "objects"), filepath.Join(made.Dir, ".git", "objects")); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][]string{{"tag", "v1"}, {"pack-refs", "--all"}, {"tag", "--delete", "v1"}, {"symbolic-ref", "HEAD", "refs/heads/other"}} {
		made.Git(change...)
		if got, want := made.Git("ls-remote", "--symref", server.URL+"/repo"), made.Git("ls-remote", "--symref", made.Dir); got != want {
			t.Errorf("after git %q: got %q, want %q", change, got, want)
		}
	}
	later := server.URL + "/later.git"
	if _, err := exec.Command("git", "ls-remote", later).CombinedOutput(); err == nil {
		t.Error("there is a repository before it was made")
	}
	made.Git("clone", "--quiet", "--bare", made.Dir, filepath.Join(made.Root(), "later.git"))
	made.Git("ls-remote", later)
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
