package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// needed are the programs that the demo runs, and Debian's packages of them.
var needed = [...]struct{ program, pkg string }{
	{"dockerd", "docker.io"},
	{"git", "git"},
}

// policy keeps Debian from starting the services that it installs: the demo has
// an engine of its own, and the machine is not to get another one.
const policy = "/usr/sbin/policy-rc.d"

// prepare checks the machine and installs what is missing.
func (w *world) prepare(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return fault.WithHint(errors.New("a private Docker engine needs root"), `sudo env "PATH=$PATH" make demo`)
	}
	// Debian keeps dockerd where a user's PATH may not lead.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin"); err != nil {
		return err
	}
	if err := refuseNeighbour(); err != nil {
		return err
	}
	var missing []string
	for _, one := range needed {
		path, err := exec.LookPath(one.program)
		if err != nil {
			missing = append(missing, one.pkg)
			continue
		}
		w.say.line("  %s is there: %s", one.program, path)
	}
	if len(missing) == 0 {
		return nil
	}
	return w.install(ctx, missing)
}

// refuseNeighbour stops before an engine that runs already is disturbed: a second
// one on the same network rewrites the bridges and firewall rules of the first.
func refuseNeighbour() error {
	const socket = "/var/run/docker.sock"
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return nil // none is there
	}
	_ = conn.Close()
	return fault.WithHint(fmt.Errorf("a Docker engine runs here already (%s), and a second one would disturb its networks", socket),
		"run the demo on another machine, or stop that engine: systemctl stop docker.socket docker")
}

func (w *world) install(ctx context.Context, packages []string) error {
	list := strings.Join(packages, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fault.WithHint(fmt.Errorf("missing: %s", list), "this is no Debian, so install it by hand")
	}
	w.say.line("  missing, so Debian's packages are installed: %s", list)
	allow, err := forbidServices()
	if err != nil {
		return err
	}
	defer allow()
	for _, args := range [][]string{
		{"apt-get", "update"},
		append([]string{"apt-get", "install", "--yes", "--no-install-recommends"}, packages...),
	} {
		w.say.command(strings.Join(args, " "))
		err := w.say.during(ctx, "apt-get works", "", func(ctx context.Context) error {
			command := exec.CommandContext(ctx, args[0], args[1:]...)
			command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
			output, err := command.CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, output)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forbidServices keeps new packages from starting services until allow is called.
func forbidServices() (allow func(), err error) {
	file, err := os.OpenFile(filepath.Clean(policy), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return func() {}, nil // the machine has a policy of its own
	}
	if err != nil {
		return nil, fmt.Errorf("keep services from starting: %w", err)
	}
	_, err = file.WriteString("#!/bin/sh\nexit 101\n")
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("keep services from starting: %w", err)
	}
	return func() { _ = os.Remove(policy) }, nil
}
