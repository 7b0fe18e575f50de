package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// repository is a git repository with the example on branch master. A commit in it
// counts as merged.
type repository struct{ dir string }

// newRepository makes a repository of the files that fill writes, and commits them.
func newRepository(ctx context.Context, dir string, fill func(*repository) error) (*repository, error) {
	r := &repository{dir: dir}
	if err := fill(r); err != nil {
		return nil, err
	}
	if _, err := r.git(ctx, "init", "--quiet", "--initial-branch=master"); err != nil {
		return nil, err
	}
	if _, err := r.git(ctx, "add", "--all"); err != nil {
		return nil, err
	}
	return r, r.commit(ctx, "Add the COIN stacks")
}

// git runs git without the configuration of the machine and the user.
func (r *repository) git(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", args...)
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

func (r *repository) commit(ctx context.Context, subject string) error {
	_, err := r.git(ctx, "commit", "--quiet", "--all", "--message", subject)
	return err
}

// branches returns a function that lists the branches of a commit, if it exists.
func (r *repository) branches(ctx context.Context) func(string) ([]string, bool) {
	return func(sha string) ([]string, bool) {
		output, err := r.git(ctx, "branch", "--contains", sha, "--format=%(refname:short)")
		if err != nil {
			return nil, false
		}
		return strings.Fields(output), true
	}
}

// set sets a variable in node.env: in its line, which may be commented out, or in a
// new one.
func (r *repository) set(variable, value string) error {
	path := filepath.Join(r.dir, nodeDir, "node.env")
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("set %s: %w", variable, err)
	}
	line := fmt.Sprintf("export %s=%s", variable, value)
	pattern := regexp.MustCompile(`(?m)^#?\s*(export\s+)?` + regexp.QuoteMeta(variable) + `=.*$`)
	text := pattern.ReplaceAllLiteralString(string(content), line)
	if !pattern.Match(content) {
		text += line + "\n"
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// configure adds lines to the environment's config.yml.
func (r *repository) configure(lines string) error {
	path := filepath.Join(r.dir, "environments", environment, "config.yml")
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("configure %s: %w", environment, err)
	}
	return os.WriteFile(path, append(content, "\n"+lines...), 0o644)
}

// replace replaces a text in a file.
func (r *repository) replace(name, before, after string) error {
	path := filepath.Join(r.dir, name)
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("change %s: %w", name, err)
	}
	if !bytes.Contains(content, []byte(before)) {
		return fmt.Errorf("change %s: it does not contain %q", name, before)
	}
	return os.WriteFile(path, bytes.Replace(content, []byte(before), []byte(after), 1), 0o644)
}

// raise sets a new value and version of a secret. Secrets in Swarm cannot change, so
// a new value needs a new version.
func (r *repository) raise(keyFile, secret, variable string, version int, value string) error {
	return errors.Join(
		editSOPS(filepath.Join(r.dir, nodeDir, "secrets.enc"), keyFile, secret, value),
		editSOPS(filepath.Join(r.dir, nodeDir, "secrets.override.enc"), keyFile, variable, version),
	)
}
