// Package gittest makes git repositories with git itself and serves them with
// its real servers: over HTTP, ssh and git's own protocol, with filters and
// without, broken on demand. What is made from the same input has the same
// hashes each time.
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
)

// Repo is a repository with a worktree, on branch master. Its clock starts on
// 2025-01-01 and moves by a minute with each commit or tag.
type Repo struct {
	Dir string

	t   testing.TB
	now time.Time
}

// New makes an empty repository in Dir; served from its parent folder its name
// is repo.
func New(tb testing.TB) *Repo {
	tb.Helper()
	r := &Repo{Dir: filepath.Join(tb.TempDir(), "repo"), t: tb, now: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
	run(tb, "", nil, "init", "--quiet", "--initial-branch=master", r.Dir)
	return r
}

// Root is the folder to serve.
func (r *Repo) Root() string { return filepath.Dir(r.Dir) }

// At sets the clock for what comes next.
func (r *Repo) At(when time.Time) { r.now = when }

// Write puts files into the worktree; empty content deletes one, and content
// that begins with "-> " makes a symbolic link.
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

// Commit writes files and commits the whole worktree; it gives the hash.
func (r *Repo) Commit(message string, files map[string]string) string {
	r.t.Helper()
	r.Write(files)
	r.Git("add", "--all")
	r.Git("commit", "--quiet", "--allow-empty", "--message", message)
	return r.Head()
}

// Tag makes a tag that is but a name of the checked out commit.
func (r *Repo) Tag(name string) {
	r.t.Helper()
	r.Git("tag", name)
}

// Annotate makes a tag object of the checked out commit, dated by the clock.
func (r *Repo) Annotate(name string) {
	r.t.Helper()
	r.Git("tag", "--annotate", "--message", name, name)
}

// Reset moves the branch to any commit, as a forced push does.
func (r *Repo) Reset(commit string) {
	r.t.Helper()
	r.Git("reset", "--quiet", "--hard", commit)
}

// Head gives the hash of the checked out commit.
func (r *Repo) Head() string {
	r.t.Helper()
	return r.Git("rev-parse", "HEAD")
}

// Git runs git in the repository and gives its trimmed output.
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
		"GIT_AUTHOR_NAME=Ada Engineer", "GIT_AUTHOR_EMAIL=ada@coin.example",
		"GIT_COMMITTER_NAME=Ada Engineer", "GIT_COMMITTER_EMAIL=ada@coin.example"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("git %s: %v (is git installed?)\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// gitEnv keeps git from reading this machine's and this user's configuration.
func gitEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
	}
}

// serverConfig is the configuration of a served repository. Pushes to its
// checked out branch move the worktree along.
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
