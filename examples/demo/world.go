package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/docker/docker/client"

	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/examples/local"
)

const (
	module      = "coin.internal/coin-agent"
	environment = "sandbox"
	node        = "node3"
	stack       = "sbxapp3"
	nodeDir     = "environments/" + environment + "/nodes/" + node
)

// world has everything that the demo has started.
type world struct {
	say  *narrator
	root string // folder of this module
	dir  string // folder of the demo

	engine *swarmtest.Private
	api    *client.Client
	repo   *local.Repository
	gitlab *local.GitLab
	chat   *chat
	agent  *local.Process

	metrics string // URL of the agent's metrics

	cleanUp local.CleanUp
}

// close runs the clean-up. Ctrl-C does not stop it.
func (w *world) close(ctx context.Context) error {
	if w.cleanUp.Empty() {
		return nil
	}
	w.say.line("\nCleaning up:")
	return w.cleanUp.RunWith(func(what string, do func() error) error {
		return w.say.during(context.WithoutCancel(ctx), what, "", func(context.Context) error { return do() })
	})
}

// makeDir makes the demo's folder. Its path is short because it contains unix
// sockets.
func (w *world) makeDir() error {
	dir, err := os.MkdirTemp("/tmp", "coin-demo-")
	if err != nil {
		return fmt.Errorf("make the demo's folder: %w", err)
	}
	w.dir = dir
	w.cleanUp.Later("remove "+dir, func() error { return os.RemoveAll(dir) })
	return nil
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// write writes a file that only its owner can read.
func (w *world) write(name, content string) error {
	if err := os.WriteFile(w.path(name), []byte(content), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// build builds the agent.
func (w *world) build(ctx context.Context) error { return local.BuildAgent(ctx, w.path("bin/agent")) }

// startEngine starts the private engine with its Swarm.
func (w *world) startEngine(ctx context.Context) error {
	engine, err := swarmtest.Start(ctx, "")
	if err != nil {
		return err
	}
	w.engine = engine
	w.cleanUp.Later("stop the private engine and all its containers", engine.Stop)
	w.api, err = client.NewClientWithOpts(client.WithHost(engine.Host), client.WithAPIVersionNegotiation())
	if err != nil {
		return fmt.Errorf("connect to the engine: %w", err)
	}
	return nil
}
