package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"coin.internal/coin-agent/sync/gittest"
)

const (
	environment = "compare"
	node        = "node1"
	branch      = "master"
	shopConfig  = "level: info\nshops: [north, south]\n"
)

// repository is a git repository with what is to run, served over HTTP. Its working copy is what
// the tools without git read. Commits are made on another branch, and published afterwards.
type repository struct {
	dir string
	url string

	server *http.Server
}

// newRepository makes a repository below root, and serves it on loopback.
func newRepository(ctx context.Context, root string) (*repository, error) {
	r := &repository{dir: filepath.Join(root, "shops")}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a repository: %w", err)
	}
	if err := r.git(ctx, "init", "--quiet", "--initial-branch=work"); err != nil {
		return nil, err
	}
	handler, err := gittest.Handler(root, gittest.Options{})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve the repository: %w", err)
	}
	r.url = "http://" + listener.Addr().String() + "/shops"
	r.server = &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = r.server.Serve(listener) }()
	return r, nil
}

func (r *repository) close() error { return r.server.Close() }

// stackDir gives a stack's folder, with docker-compose.yml and what it needs.
func (r *repository) stackDir(folder string) string {
	return filepath.Join(r.dir, "environments", environment, "nodes", node, folder)
}

// commit writes an estate into the working copy and commits it.
func (r *repository) commit(ctx context.Context, e *estate) error {
	if err := os.RemoveAll(filepath.Join(r.dir, "environments")); err != nil {
		return fmt.Errorf("write the stacks: %w", err)
	}
	files := map[string]string{filepath.Join(r.dir, "environments", environment, "config.yml"): e.config()}
	for _, name := range e.names() {
		dir := r.stackDir(e.folder(name))
		files[filepath.Join(dir, "docker-compose.yml")] = e.compose(name)
		files[filepath.Join(dir, "settings.yml")] = shopConfig
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("write the stacks: %w", err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return fmt.Errorf("write the stacks: %w", err)
		}
	}
	if err := r.git(ctx, "add", "--all"); err != nil {
		return err
	}
	return r.git(ctx, "commit", "--quiet", "--message", "Change the stacks")
}

// publish moves the branch that the tools follow to the last commit.
func (r *repository) publish(ctx context.Context) error {
	return r.git(ctx, "branch", "--force", branch)
}

// withdraw removes that branch, as if nothing had been merged yet.
func (r *repository) withdraw(ctx context.Context) error {
	return r.git(ctx, "update-ref", "-d", "refs/heads/"+branch)
}

// head gives the last commit.
func (r *repository) head(ctx context.Context) (string, error) {
	return output(r.command(ctx, "rev-parse", "HEAD"))
}

func (r *repository) git(ctx context.Context, args ...string) error {
	_, err := output(r.command(ctx, args...))
	return err
}

func (r *repository) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir = r.dir
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Ada Engineer", "GIT_AUTHOR_EMAIL=ada@coin.example",
		"GIT_COMMITTER_NAME=Ada Engineer", "GIT_COMMITTER_EMAIL=ada@coin.example",
	}
	return command
}

// output runs a command and gives its trimmed output, which is in the error as well.
func output(command *exec.Cmd) (string, error) {
	content, err := command.CombinedOutput()
	text := strings.TrimSpace(string(content))
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, text)
	}
	return text, nil
}
