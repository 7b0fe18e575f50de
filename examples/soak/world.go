package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/examples/local"
)

// world is what the agent works with, and the agent.
type world struct {
	services int

	dir     string
	repo    *local.Repository
	head    string // of the branch
	load    *load
	server  *server
	engine  *swarmtest.Private
	hooks   string // the URL that takes hooks
	agent   *local.Process
	cleanUp local.CleanUp
}

// open starts everything, the agent last.
func (w *world) open(ctx context.Context) error {
	dir, err := os.MkdirTemp("/tmp", "coin-soak-") // short, because it contains sockets
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	w.dir = dir
	w.cleanUp.Later("remove the folder", func() error { return os.RemoveAll(dir) })
	if err := local.BuildAgent(ctx, w.path("agent")); err != nil {
		return err
	}
	identity, recipient, err := newKey()
	if err != nil {
		return err
	}
	w.load = newLoad(w.services)
	files, err := w.load.files(recipient)
	if err != nil {
		return err
	}
	if w.repo, err = local.NewRepository(ctx, w.path("git/"+local.Project), "master"); err != nil {
		return err
	}
	if w.head, err = w.repo.Commit(ctx, "Add the stack", files); err != nil {
		return err
	}
	if w.server, err = serve(ctx, w.path("git")); err != nil {
		return err
	}
	w.cleanUp.Later("stop the git server", w.server.Close)
	if w.engine, err = swarmtest.Start(ctx, ""); err != nil {
		return err
	}
	w.cleanUp.Later("stop the engine", w.engine.Stop)
	if err := w.settings(identity); err != nil {
		return err
	}
	if w.agent, err = local.StartAgent(w.path("agent"), w.path("agent.yml"), w.path("log")); err != nil {
		return err
	}
	w.cleanUp.Later("stop the agent", w.agent.Stop)
	return nil
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// settings writes the agent's settings. Between hooks the agent rests.
func (w *world) settings(identity string) error {
	api, err := local.FreeAddress()
	if err != nil {
		return err
	}
	w.hooks = "http://" + api + "/hooks/gitlab"
	text := fmt.Sprintf(`environment: %s
node: %s
repository: %s
git_token_file: %s
age_key_files: [%s]
engine: %s
state_dir: %s
socket: %s
listen: 127.0.0.1:0
api_listen: %s
webhook_token_file: %s
interval: 24h
gitlab_url: %s
gitlab_project: %s
gitlab_token_file: %s
merge_request_plans: true
`, environment, node, w.server.Clone(), w.path("token"), w.path("age.key"), w.engine.Host, w.path("state"), w.path("s"),
		api, w.path("hook"), w.server.URL, local.Project, w.path("token"))
	for name, content := range map[string]string{"agent.yml": text, "token": local.Token + "\n", "hook": hookWord + "\n", "age.key": identity + "\n"} {
		if err := os.WriteFile(w.path(name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("write the agent's settings: %w", err)
		}
	}
	return nil
}

// logEnd gives the end of the agent's log as an error.
func (w *world) logEnd() error {
	if w.agent == nil {
		return nil
	}
	return errors.New("the agent's log ends:\n" + w.agent.LogEnd())
}
