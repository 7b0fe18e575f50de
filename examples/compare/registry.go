package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/demoimage"
)

// registry is a real registry in the engine's network, which has an image for each service: all
// tools ask it for digests.
type registry struct {
	address string
	process *process
}

// startRegistry starts an empty registry, with its files in dir.
func startRegistry(ctx context.Context, dir string, engine *swarmtest.Private) (*registry, error) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		return nil, fmt.Errorf("start a registry: %w", err)
	}
	r := &registry{}
	err = engine.InNetwork(func() (err error) {
		r.address, err = freeAddress()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start a registry: %w", err)
	}
	config := filepath.Join(dir, "registry.yml")
	text := "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: " + filepath.Join(dir, "registry") + "}}\nhttp:\n  addr: " + r.address + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("start a registry: %w", err)
	}
	command := exec.Command(program, "serve", config)
	if r.process, err = start(command, filepath.Join(dir, "registry.log"), engine.InNetwork); err != nil {
		return nil, err
	}
	return r, until(ctx, time.Minute, func() error {
		return engine.InNetwork(func() error {
			connection, err := net.Dial("tcp", r.address)
			if err != nil {
				return fmt.Errorf("reach the registry: %w", err)
			}
			return connection.Close()
		})
	})
}

// freeAddress gives an address with an unused loopback port.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

// fill pushes the demo program's image under the names of the first images.
func (r *registry) fill(ctx context.Context, api *client.Client, images int) error {
	var names []string
	for i := range images {
		names = append(names, imageOf(r.address, i))
	}
	if err := demoimage.Import(ctx, api, names); err != nil {
		return err
	}
	answer, err := api.ImagePush(ctx, r.address+"/shop", image.PushOptions{All: true, RegistryAuth: "e30="})
	if err != nil {
		return fmt.Errorf("push the images: %w", err)
	}
	defer func() { _ = answer.Close() }()
	for lines := json.NewDecoder(answer); ; {
		var line struct {
			Error string `json:"error"`
		}
		err := lines.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("push the images: %w", err)
		case line.Error != "":
			return fmt.Errorf("push the images: %s", line.Error)
		}
	}
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
