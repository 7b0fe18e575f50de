package proposal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"coin.internal/coin-agent/proposal"
)

// Files of git are replaced, not written again in place: a run that is killed never leaves an empty one,
// with which git opens no clone. A link keeps what the file was.
func TestGitIsReplaced(t *testing.T) {
	repo := repository(t)
	git := filepath.Join(repo.Dir, ".git")
	linked := func(name string) (before func() string) {
		link := filepath.Join(git, "link-"+filepath.Base(name))
		if err := os.Link(filepath.Join(git, name), link); err != nil {
			t.Fatal(err)
		}
		return func() string {
			content, err := os.ReadFile(link)
			if err != nil {
				t.Fatal(err)
			}
			return string(content)
		}
	}
	head := linked("HEAD")
	left := filepath.Join(repo.Dir, "environments/a/.coin-agent.x")
	if err := errors.Join(os.WriteFile(left, []byte("half"), 0o400), os.WriteFile(filepath.Join(git, "coin-agent.ref"), []byte("half"), 0o400)); err != nil {
		t.Fatal(err)
	}
	tree := open(t, repo.Dir)
	made, err := tree.Commit(proposal.Draft{Branch: "deep/change", Message: "Change\n", Author: author, Files: []proposal.File{
		{Path: "environments/a/x", Before: []byte("1\n"), After: []byte("2\n")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	tree.Close()
	if got := head() + repo.Git("symbolic-ref", "HEAD") + repo.Git("status", "--porcelain"); got != "ref: refs/heads/master\nrefs/heads/deep/change" {
		t.Errorf("after the commit: %q", got)
	}
	branch := linked("refs/heads/deep/change")
	repo.Git("switch", "--quiet", "master")
	tree = open(t, repo.Dir)
	if err := tree.Move("deep/change"); err != nil {
		t.Fatal(err)
	}
	tree.Close()
	if got := branch() + repo.Git("rev-parse", "deep/change"); got != made.Hash+"\n"+repo.Git("rev-parse", "master") {
		t.Errorf("after the move: %q", got)
	}
}

// A run that was killed after it removed a file is finished by the next one, as one that removed none.
func TestRemovalIsFinished(t *testing.T) {
	repo := repository(t)
	tree := open(t, repo.Dir)
	made, err := tree.Commit(proposal.Draft{Branch: "change", Message: "Change\n", Author: author, Files: []proposal.File{
		{Path: "environments/a/x", Before: []byte("1\n"), After: []byte("2\n")},
		{Path: "environments/a/y", Before: []byte("1\n")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	tree.Close()
	repo.Git("symbolic-ref", "HEAD", "refs/heads/master")
	repo.Git("reset", "--quiet") // the index of before, and the files of the change
	again, err := open(t, repo.Dir).TakeUp(proposal.Wanted{What: "a change", Matches: func(_, branch string) bool { return branch == "change" }})
	if err != nil || again == nil || again.Hash != made.Hash {
		t.Fatalf("got %+v, %v", again, err)
	}
	if got := repo.Git("symbolic-ref", "HEAD") + repo.Git("status", "--porcelain"); got != "refs/heads/change" {
		t.Errorf("left %q", got)
	}
}

// In a linked working copy, the branch is that of the clone, and HEAD and the index are its own.
func TestLinkedWorkingCopy(t *testing.T) {
	repo := repository(t)
	dir := filepath.Join(t.TempDir(), "linked")
	repo.Git("worktree", "add", "--quiet", "-b", "other", dir)
	made, err := open(t, dir).Commit(proposal.Draft{Branch: "change", Message: "Change\n", Author: author, Files: []proposal.File{
		{Path: "environments/a/x", Before: []byte("1\n"), After: []byte("2\n")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := repo.Git("rev-parse", "change") + repo.Git("symbolic-ref", "HEAD") + repo.Git("status", "--porcelain"); got != made.Hash+"refs/heads/master" {
		t.Errorf("the clone: %q", got)
	}
	if got := repo.Git("-C", dir, "symbolic-ref", "HEAD") + repo.Git("-C", dir, "status", "--porcelain"); got != "refs/heads/change" {
		t.Errorf("the linked working copy: %q", got)
	}
}

// The configuration of a clone counts, too, whose files belong to another user.
func TestConfigurationOfAnother(t *testing.T) {
	repo := repository(t)
	repo.Git("config", "user.email", "grace@work.example")
	own := func(user int) {
		if err := filepath.WalkDir(repo.Dir, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, user, user))
		}); err != nil {
			t.Fatal(err)
		}
	}
	own(65534)
	tree := open(t, repo.Dir)
	_, err := tree.Commit(proposal.Draft{Branch: "change", Message: "Change\n", Files: []proposal.File{
		{Path: "environments/a/x", Before: []byte("1\n"), After: []byte("2\n")},
	}})
	tree.Close()
	own(os.Getuid())
	if got := repo.Git("log", "-1", "--format=%ae"); err != nil || got != "grace@work.example" {
		t.Errorf("the author is %s, %v", got, err)
	}
}
