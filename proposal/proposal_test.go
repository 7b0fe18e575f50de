package proposal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/sync/gittest"
)

const author = "Ada Engineer <ada@coin.example>"

func repository(t *testing.T) *gittest.Repo {
	t.Helper()
	repo := gittest.New(t)
	repo.Commit("Start", map[string]string{"environments/a/x": "1\n", "environments/a/y": "1\n", "environments/link": "-> a"})
	return repo
}

func open(t *testing.T, dir string) *proposal.Worktree {
	t.Helper()
	tree, err := proposal.OpenWorktree(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tree.Close)
	return tree
}

// TestNewFolders commits files in folders that are not there yet, and finishes that after an
// interruption.
func TestNewFolders(t *testing.T) {
	repo := repository(t)
	tree := open(t, repo.Dir)
	draft := proposal.Draft{Branch: "change", Message: "Change\n\nText.\n\nKind: change\n", Author: author, Files: []proposal.File{
		{Path: "environments/a/x", Before: []byte("1\n"), After: []byte("2\n")},
		{Path: "releases/1/deep/z", After: []byte("new\n")},
	}}
	made, err := tree.Commit(draft)
	if err != nil || made.Body("Kind") != "Text." || made.Trailers()["Kind"] != "change" {
		t.Fatalf("%+v, %v", made, err)
	}
	tree.Close()
	repo.Git("fsck", "--strict", "--no-dangling")
	if got := repo.Git("status", "--porcelain") + repo.Git("show", "HEAD:releases/1/deep/z"); got != "new" {
		t.Errorf("got %q", got)
	}
	repo.Git("switch", "--quiet", "master")
	tree = open(t, repo.Dir)
	again, err := tree.TakeUp(proposal.Wanted{What: "a change", Matches: func(message, _ string) bool { return strings.Contains(message, "Kind: change") }})
	if err != nil || !again.Taken || again.Hash != made.Hash {
		t.Fatalf("%+v, %v", again, err)
	}
	if diff := cmp.Diff(draft.Files, again.Files); diff != "" {
		t.Errorf("files (-made +taken up):\n%s", diff)
	}
}

// TestAfter lists and reads the files as the change leaves them.
func TestAfter(t *testing.T) {
	repo := repository(t)
	files, err := open(t, repo.Dir).Files()
	if err != nil {
		t.Fatal(err)
	}
	after := proposal.After(files, []proposal.File{{Path: "environments/a/x", After: []byte("2\n")}, {Path: "environments/a/z", After: []byte("3\n")}, {Path: "new/one", After: []byte("4\n")}, {Path: "environments/a/y"}})
	var got []string
	err = fs.WalkDir(after, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(name, ".git") {
			return fs.SkipDir
		}
		content, _ := fs.ReadFile(after, name)
		got = append(got, strings.TrimSpace(name+" "+string(content)))
		return nil
	})
	want := []string{".", "environments", "environments/a", "environments/a/x 2", "environments/a/z 3", "environments/link", "new", "new/one 4"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestUnclean names what is not committed, and what is not in git.
func TestUnclean(t *testing.T) {
	repo := repository(t)
	tree := open(t, repo.Dir)
	if err := tree.Clean(t.Context(), "environments", "nothing"); err != nil {
		t.Errorf("a clean copy: %v", err)
	}
	for _, name := range []string{"environments/a/x", "environments/a/new", "elsewhere"} {
		if err := os.WriteFile(filepath.Join(repo.Dir, name), []byte("by hand\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := tree.Clean(t.Context(), "environments", "nothing")
	if err == nil || !strings.HasSuffix(err.Error(), "not committed: environments/a/x, environments/a/new") || fault.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
}

// TestLinks does not write through a link.
func TestLinks(t *testing.T) {
	repo := repository(t)
	files, err := open(t, repo.Dir).Files()
	if err != nil {
		t.Fatal(err)
	}
	edits := proposal.NewEdits(files)
	if err := edits.Change("environments/link/x", func([]byte) ([]byte, error) { return []byte("new\n"), nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := edits.Files(); err == nil || !strings.Contains(err.Error(), "environments/link is a symbolic link") {
		t.Errorf("got %v", err)
	}
}
