package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Repository is a git repository with a working copy.
type Repository struct{ Dir string }

// NewRepository makes a repository without a commit in a folder, which may have files.
func NewRepository(ctx context.Context, dir, branch string) (*Repository, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the repository: %w", err)
	}
	r := &Repository{Dir: dir}
	_, err := r.Git(ctx, "init", "--quiet", "--initial-branch="+branch)
	return r, err
}

// Commit writes files into the working copy, commits all of its files, and gives the hash.
func (r *Repository) Commit(ctx context.Context, subject string, files map[string]string) (string, error) {
	for name, content := range files {
		path := filepath.Join(r.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", fmt.Errorf("commit %s: %w", name, err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return "", fmt.Errorf("commit %s: %w", name, err)
		}
	}
	if _, err := r.Git(ctx, "add", "--all"); err != nil {
		return "", err
	}
	if _, err := r.Git(ctx, "commit", "--quiet", "--message", subject); err != nil {
		return "", err
	}
	return r.Git(ctx, "rev-parse", "HEAD")
}

// Git runs git without the configuration of the machine and the user, and gives its output.
func (r *Repository) Git(ctx context.Context, args ...string) (string, error) {
	// A collection of garbage in the background would outlive the command, and write into a folder that is removed.
	command := exec.CommandContext(ctx, "git", append([]string{"-c", "gc.auto=0", "-c", "maintenance.auto=false"}, args...)...)
	command.Dir = r.Dir
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Ada Engineer", "GIT_AUTHOR_EMAIL=ada@coin.example",
		"GIT_COMMITTER_NAME=Ada Engineer", "GIT_COMMITTER_EMAIL=ada@coin.example",
	}
	return Output(command)
}

// Output runs a command and gives its trimmed output, which is in the error as well.
func Output(command *exec.Cmd) (string, error) {
	content, err := command.CombinedOutput()
	text := strings.TrimSpace(string(content))
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, text)
	}
	return text, nil
}

// branches returns a function that lists the branches of a commit, if it exists.
func (r *Repository) branches(ctx context.Context) func(string) ([]string, bool) {
	return func(sha string) ([]string, bool) {
		output, err := r.Git(ctx, "branch", "--contains", sha, "--format=%(refname:short)")
		return strings.Fields(output), err == nil
	}
}

// tips returns a function that gives the commit of a branch; "" if there is none.
func (r *Repository) tips(ctx context.Context) func(string) string {
	return func(branch string) string {
		tip, err := r.Git(ctx, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch)
		if err != nil {
			return ""
		}
		return tip
	}
}
