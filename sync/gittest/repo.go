// Package gittest makes git repositories with git, and serves them with its real servers:
// over HTTP, ssh and the git protocol, with and without filters, and with failures. The
// same input always gives the same hashes.
package gittest

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/memoryfolder"
)

// Repo is a repository with a worktree, on branch master. Its clock starts on
// 2025-01-01 and moves by a minute with each commit or tag.
type Repo struct {
	Dir string

	t   testing.TB
	now time.Time
}

// New makes an empty repository in Dir, the folder repo in a new folder in memory.
func New(tb testing.TB) *Repo {
	tb.Helper()
	r := &Repo{Dir: filepath.Join(memoryfolder.New(tb), "repo"), t: tb, now: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
	run(tb, "", nil, "init", "--quiet", "--initial-branch=master", r.Dir)
	return r
}

// Person makes Grace Operator the user whose configuration of git this process reads.
func Person(t *testing.T) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[user]\n\tname = Grace Operator\n\temail = grace@coin.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Root returns the folder to serve.
func (r *Repo) Root() string { return filepath.Dir(r.Dir) }

// At sets the clock.
func (r *Repo) At(when time.Time) { r.now = when }

// Write writes files into the worktree. Empty content deletes a file, and content that
// starts with "-> " makes a symbolic link.
func (r *Repo) Write(files map[string]string) {
	r.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := write(filepath.Join(r.Dir, name), files[name]); err != nil {
			r.t.Fatal(err)
		}
	}
}

func write(path, content string) error {
	if err := os.RemoveAll(path); err != nil || content == "" {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if target, ok := strings.CutPrefix(content, "-> "); ok {
		return os.Symlink(target, path)
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

// Commit writes files, commits the whole worktree, and returns the hash.
func (r *Repo) Commit(message string, files map[string]string) string {
	r.t.Helper()
	r.Write(files)
	r.Git("add", "--all")
	r.Git("commit", "--quiet", "--allow-empty", "--message", message)
	return r.Head()
}

// Tag makes a lightweight tag on the checked out commit.
func (r *Repo) Tag(name string) {
	r.t.Helper()
	r.Git("tag", name)
}

// Annotate makes an annotated tag on the checked out commit, with the time of the clock.
func (r *Repo) Annotate(name string) {
	r.t.Helper()
	r.Git("tag", "--annotate", "--message", name, name)
}

// Reset moves the branch to any commit, as a force push does.
func (r *Repo) Reset(commit string) {
	r.t.Helper()
	r.Git("reset", "--quiet", "--hard", commit)
}

// Head returns the hash of the checked out commit.
func (r *Repo) Head() string {
	r.t.Helper()
	return r.Git("rev-parse", "HEAD")
}

// Git runs git in the repository and returns its trimmed output.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	date := r.now.Format(time.RFC3339)
	if args[0] == "commit" || args[0] == "tag" {
		r.now = r.now.Add(time.Minute)
	}
	return run(r.t, r.Dir, []string{"GIT_AUTHOR_DATE=" + date, "GIT_COMMITTER_DATE=" + date}, args...)
}

func run(tb testing.TB, dir string, env []string, args ...string) string {
	tb.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(append(gitEnv(),
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=maintenance.auto", "GIT_CONFIG_VALUE_0=false", // a commit starts no other process
		"GIT_AUTHOR_NAME=Ada Engineer", "GIT_AUTHOR_EMAIL=ada@coin.example",
		"GIT_COMMITTER_NAME=Ada Engineer", "GIT_COMMITTER_EMAIL=ada@coin.example"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("git %s: %v (is git installed?)\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// gitEnv prevents git from reading the configuration of the machine and the user.
func gitEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
	}
}

// serverConfig returns the configuration of a served repository. Pushes to its checked
// out branch also update the worktree.
func serverConfig(whole bool) map[string]string {
	config := map[string]string{
		"safe.directory":            "*",
		"http.receivepack":          "true",
		"receive.denyCurrentBranch": "updateInstead",
	}
	if !whole {
		config["uploadpack.allowFilter"] = "true"
		config["uploadpack.allowAnySHA1InWant"] = "true"
	}
	return config
}
