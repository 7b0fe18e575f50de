package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is what the measures depend on.
type machine struct {
	processor string
	cores     int
	kernel    string
	busy      string // the load average of the last minute, before the run
	date      time.Time
	agent     string // its version
	commit    string
	cli       string
}

var model = regexp.MustCompile(`(?m)^model name\s*:\s*(.*)$`)

// describe finds out what the measures depend on.
func describe(ctx context.Context, agent, docker string) (machine, error) {
	m := machine{cores: runtime.NumCPU(), date: time.Now().UTC(), processor: runtime.GOARCH}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, fmt.Errorf("describe the machine: %w", err)
	}
	if match := model.FindSubmatch(info); match != nil {
		m.processor = strings.Join(strings.Fields(string(match[1])), " ")
	}
	average, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return m, fmt.Errorf("describe the machine: %w", err)
	}
	m.busy, _, _ = strings.Cut(string(average), " ")
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return m, fmt.Errorf("describe the machine: %w", err)
	}
	m.kernel = unix.ByteSliceToString(name.Release[:])
	for _, ask := range []struct {
		into    *string
		command []string
	}{
		{&m.agent, []string{agent, "version"}},
		{&m.commit, []string{"git", "rev-parse", "--short=10", "HEAD"}},
		{&m.cli, []string{docker, "version", "--format", "{{.Client.Version}}"}},
	} {
		command := exec.CommandContext(ctx, ask.command[0], ask.command[1:]...)
		command.Env = append(os.Environ(), "DOCKER_HOST=unix:///nonexistent")
		content, err := command.Output() // the CLI fails, because there is no engine
		if *ask.into = strings.TrimSpace(string(content)); *ask.into == "" {
			return m, fmt.Errorf("ask for a version: %s: %w", strings.Join(ask.command, " "), err)
		}
	}
	return m, nil
}
