package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// repository is a git repository on branch master.
type repository struct{ dir string }

// make makes the repository with one commit, and gives its hash.
func (r repository) make(ctx context.Context, files map[string]string) (string, error) {
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return "", fmt.Errorf("make the repository: %w", err)
	}
	if _, err := r.git(ctx, "init", "--quiet", "--initial-branch=master"); err != nil {
		return "", err
	}
	return r.commit(ctx, "Add the stack", files)
}

// commit writes files, commits them, and gives the hash.
func (r repository) commit(ctx context.Context, subject string, files map[string]string) (string, error) {
	for name, content := range files {
		path := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", fmt.Errorf("commit %s: %w", name, err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return "", fmt.Errorf("commit %s: %w", name, err)
		}
	}
	if _, err := r.git(ctx, "add", "--all"); err != nil {
		return "", err
	}
	if _, err := r.git(ctx, "commit", "--quiet", "--message", subject); err != nil {
		return "", err
	}
	return r.git(ctx, "rev-parse", "HEAD")
}

// git runs git without the configuration of the machine and the user.
func (r repository) git(ctx context.Context, args ...string) (string, error) {
	// A collection of garbage in the background would outlive the command, and write into a folder that is removed.
	command := exec.CommandContext(ctx, "git", append([]string{"-c", "gc.auto=0", "-c", "maintenance.auto=false"}, args...)...)
	command.Dir = r.dir
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Ada Engineer", "GIT_AUTHOR_EMAIL=ada@coin.example",
		"GIT_COMMITTER_NAME=Ada Engineer", "GIT_COMMITTER_EMAIL=ada@coin.example",
	}
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return strings.TrimSpace(string(output)), nil
}

// branches returns a function that lists the branches of a commit, if it exists.
func (r repository) branches(ctx context.Context) func(string) ([]string, bool) {
	return func(sha string) ([]string, bool) {
		output, err := r.git(ctx, "branch", "--contains", sha, "--format=%(refname:short)")
		return strings.Fields(output), err == nil
	}
}

// tips returns a function that gives the commit of a branch.
func (r repository) tips(ctx context.Context) func(string) string {
	return func(branch string) string {
		tip, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch)
		if err != nil {
			return ""
		}
		return tip
	}
}
