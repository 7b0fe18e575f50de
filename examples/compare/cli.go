package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"coin.internal/coin-agent/examples/local"
)

// cliName is the tool that the others are compared with.
const cliName = "docker CLI"

// cli is the docker command: `docker stack deploy` for each stack, one after the other.
type cli struct {
	host    string // of the proxy
	dir     string // of its configuration, which is empty
	program string
}

func (c *cli) name() string { return cliName }

func (c *cli) start(context.Context) error { return os.MkdirAll(c.dir, 0o700) }

func (c *cli) stop(context.Context) (*local.Memory, error) { return nil, nil }

func (c *cli) deploy(ctx context.Context, what change) (time.Duration, error) {
	var cpu time.Duration
	for _, at := range what.stacks {
		command := exec.CommandContext(ctx, c.program, "stack", "deploy", "--compose-file", filepath.Join(at.dir, "docker-compose.yml"),
			"--resolve-image", "always", "--prune", at.stack)
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "DOCKER_CONFIG=" + c.dir, "DOCKER_HOST=" + c.host}
		if _, err := local.Output(command); err != nil {
			return 0, err
		}
		cpu += command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	}
	return cpu, nil
}
