package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"coin.internal/coin-agent/examples/local"
	"coin.internal/coin-agent/sync/gittest"
)

const (
	environment = "compare"
	node        = "node1"
	branch      = "master"
	nodeDir     = "environments/" + environment + "/nodes/" + node
	shopConfig  = "level: info\nshops: [north, south]\n"
)

// repository is a git repository with what is to run, served over HTTP. Its working copy is what
// the tools without git read. Commits are made on another branch, and published afterwards.
type repository struct {
	local *local.Repository
	url   string
	close func() error
}

// newRepository makes a repository below root, and serves it.
func newRepository(ctx context.Context, root string) (r *repository, err error) {
	r = &repository{}
	if r.local, err = local.NewRepository(ctx, filepath.Join(root, "shops"), "work"); err != nil {
		return nil, err
	}
	handler, err := gittest.Handler(root, gittest.Options{})
	if err != nil {
		return nil, err
	}
	r.url, r.close, err = local.Serve(handler)
	r.url += "/shops"
	return r, err
}

// stackDir gives a stack's folder, with docker-compose.yml and what it needs.
func (r *repository) stackDir(folder string) string {
	return filepath.Join(r.local.Dir, nodeDir, folder)
}

// commit writes an estate into the working copy and commits it.
func (r *repository) commit(ctx context.Context, e *estate) error {
	if err := os.RemoveAll(filepath.Join(r.local.Dir, "environments")); err != nil {
		return fmt.Errorf("write the stacks: %w", err)
	}
	files := map[string]string{filepath.Join("environments", environment, "config.yml"): e.config()}
	for _, name := range e.names() {
		dir := filepath.Join(nodeDir, e.folder(name))
		files[filepath.Join(dir, "docker-compose.yml")] = e.compose(name)
		files[filepath.Join(dir, "settings.yml")] = shopConfig
	}
	_, err := r.local.Commit(ctx, "Change the stacks", files)
	return err
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
	return r.local.Git(ctx, "rev-parse", "HEAD")
}

func (r *repository) git(ctx context.Context, args ...string) error {
	_, err := r.local.Git(ctx, args...)
	return err
}
