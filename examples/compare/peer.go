package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"coin.internal/coin-agent/examples/local"
)

// peer is another tool, which a script runs. README.md says what the script gets.
type peer struct {
	proxy      *proxy
	dir        string
	script     string
	repository string // its address

	daemon   int // the process ID; 0 for none
	deployed []place
}

func (p *peer) name() string {
	base := filepath.Base(p.script)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// run runs the script, and gives its standard output and its processor time.
func (p *peer) run(ctx context.Context, args ...string) (string, time.Duration, error) {
	command := exec.CommandContext(ctx, p.script, args...)
	var errs strings.Builder
	command.Dir, command.Stderr = p.dir, &errs
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "DOCKER_CONFIG=" + p.dir, "DOCKER_HOST=" + p.proxy.host,
		"COMPARE_DIR=" + p.dir, "COMPARE_REPOSITORY=" + p.repository, "COMPARE_BRANCH=" + branch,
	}
	text, err := command.Output()
	if err != nil {
		return "", 0, fmt.Errorf("%s %s: %w\n%s", p.script, strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(string(text)), command.ProcessState.UserTime() + command.ProcessState.SystemTime(), nil
}

func (p *peer) start(ctx context.Context) error {
	if err := errors.Join(os.RemoveAll(p.dir), os.MkdirAll(p.dir, 0o700)); err != nil {
		return fmt.Errorf("start %s: %w", p.script, err)
	}
	text, _, err := p.run(ctx, "start")
	if err != nil || text == "" {
		return err
	}
	if p.daemon, err = strconv.Atoi(text); err != nil || p.daemon <= 0 {
		return fmt.Errorf("%s start: %q is not the process ID of a daemon", p.script, text)
	}
	_, err = clock(p.daemon)
	return err
}

func (p *peer) deploy(ctx context.Context, what change) (time.Duration, error) {
	before, err := p.used()
	if err != nil {
		return 0, err
	}
	var cpu time.Duration
	for _, at := range what.stacks {
		_, used, err := p.run(ctx, "deploy", at.dir, at.stack)
		if err != nil {
			return 0, err
		}
		cpu += used
	}
	p.deployed = what.all
	if p.daemon == 0 {
		return cpu, nil
	}
	after, err := settled(ctx, p.daemon, p.proxy.busy)
	return cpu + after - before, err
}

// used gives the processor time of the daemon; 0 without one.
func (p *peer) used() (time.Duration, error) {
	if p.daemon == 0 {
		return 0, nil
	}
	return clock(p.daemon)
}

func (p *peer) stop(ctx context.Context) (used *local.Memory, err error) {
	if p.daemon != 0 {
		m, failed := local.MemoryOf(p.daemon)
		used, err = &m, failed
	}
	p.daemon = 0
	_, _, failed := p.run(ctx, "stop")
	err = errors.Join(err, failed)
	for _, at := range p.deployed {
		_, _, failed := p.run(ctx, "remove", at.stack)
		err = errors.Join(err, failed)
	}
	p.deployed = nil
	return used, err
}
