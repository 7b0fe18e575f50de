package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/docker/docker/api/types/image"

	"coin.internal/coin-agent/examples/local"
	"coin.internal/coin-agent/internal/demoimage"
	"coin.internal/coin-agent/internal/progress"
)

// startRegistry starts a real registry in the engine's network. It is to have an image for each
// service: all tools ask it for digests.
func (w *world) startRegistry(ctx context.Context) error {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		return fmt.Errorf("start a registry: %w", err)
	}
	err = w.engine.InNetwork(func() (err error) {
		w.registry, err = local.FreeAddress()
		return err
	})
	if err != nil {
		return fmt.Errorf("start a registry: %w", err)
	}
	config := filepath.Join(w.dir, "registry.yml")
	text := "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: " + filepath.Join(w.dir, "registry") + "}}\nhttp:\n  addr: " + w.registry + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("start a registry: %w", err)
	}
	process, err := local.Start(exec.Command(program, "serve", config), filepath.Join(w.dir, "registry.log"), w.engine.InNetwork)
	if err != nil {
		return err
	}
	w.cleanUp.Later("stop the registry", process.Stop)
	return until(ctx, time.Minute, func() error {
		return w.engine.InNetwork(func() error {
			connection, err := net.Dial("tcp", w.registry)
			if err != nil {
				return fmt.Errorf("reach the registry: %w", err)
			}
			return connection.Close()
		})
	})
}

// pushImages pushes the demo program's image under the names of the first images.
func (w *world) pushImages(ctx context.Context, images int) error {
	var names []string
	for i := range images {
		names = append(names, imageOf(w.registry, i))
	}
	if err := demoimage.Import(ctx, w.api, names); err != nil {
		return err
	}
	answer, err := w.api.ImagePush(ctx, w.registry+"/shop", image.PushOptions{All: true, RegistryAuth: "e30="})
	if err == nil {
		err = errors.Join(progress.Drain(answer), answer.Close())
	}
	if err != nil {
		return fmt.Errorf("push the images: %w", err)
	}
	return nil
}

// until calls check until it succeeds. After limit it gives the last error.
func until(ctx context.Context, limit time.Duration, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, err)
		case <-tick.C:
		}
	}
}
