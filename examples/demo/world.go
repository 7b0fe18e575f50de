package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/docker/docker/client"

	"coin.internal/coin-agent/deploy/swarmtest"
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
	repo   *repository
	gitlab *gitlab
	chat   *chat
	agent  *daemon

	metrics string // URL of the agent's metrics

	undo []undo // steps of the clean-up, to run in reverse order
}

type undo struct {
	what string
	do   func(context.Context) error
}

// later adds a step to the clean-up.
func (w *world) later(what string, do func(context.Context) error) {
	w.undo = append(w.undo, undo{what, do})
}

// close runs the clean-up, the last step first. Ctrl-C does not stop it.
func (w *world) close(ctx context.Context) error {
	if len(w.undo) == 0 {
		return nil
	}
	w.say.line("\nCleaning up:")
	var errs []error
	for _, undo := range slices.Backward(w.undo) {
		errs = append(errs, w.say.during(context.WithoutCancel(ctx), undo.what, "", undo.do))
	}
	w.undo = nil
	return errors.Join(errs...)
}

// makeDir makes the demo's folder. Its path is short because it contains unix
// sockets.
func (w *world) makeDir() error {
	dir, err := os.MkdirTemp("/tmp", "coin-demo-")
	if err != nil {
		return fmt.Errorf("make the demo's folder: %w", err)
	}
	w.dir = dir
	w.later("remove "+dir, func(context.Context) error { return os.RemoveAll(dir) })
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
func (w *world) build(ctx context.Context) error {
	command := exec.CommandContext(ctx, "go", "build", "-tags=grpcnotrace", "-ldflags=-s -w", "-o", w.path("bin/agent"), "./cmd/agent")
	command.Dir = w.root
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build the agent: %w\n%s", err, output)
	}
	return nil
}

// startEngine starts the private engine with its Swarm.
func (w *world) startEngine(ctx context.Context) error {
	engine, err := swarmtest.Start(ctx, "")
	if err != nil {
		return err
	}
	w.engine = engine
	w.later("stop the private engine and all its containers", func(context.Context) error { return engine.Stop() })
	w.api, err = client.NewClientWithOpts(client.WithHost(engine.Host), client.WithAPIVersionNegotiation())
	if err != nil {
		return fmt.Errorf("connect to the engine: %w", err)
	}
	return nil
}
