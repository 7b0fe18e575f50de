// Package swarmtest gives tests, the demo and the benchmarks a real Swarm: the Swarm of
// $SWARM_TEST_HOST, or a private engine, which is always stopped and removed completely.
// It also records the writes to an engine, and makes writes fail on demand.
package swarmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"
	"golang.org/x/sys/unix"
)

const (
	startLimit = 5 * time.Minute
	stopLimit  = 40 * time.Second

	// prefix is the beginning of the paths of private engines' directories.
	prefix = "/tmp/coin-swarm-"

	// noFilter is a seccomp profile that allows all calls. To compile the default one takes a
	// fifth of each health check, and no test is about it.
	noFilter = `{"defaultAction":"SCMP_ACT_ALLOW"}`
)

// Private is a private engine with a Swarm of one node.
type Private struct {
	Host string // unix:///…
	Dir  string // holds the data of the engine, and its log

	version version
	process *os.Process
	ended   chan struct{} // closed when the engine's process has ended
	lock    *os.File
}

// Start starts a private engine and makes it a Swarm manager. It has its own network, so
// that any number of private engines runs at once, also beside an installed engine. Start
// creates dir if necessary, and Stop removes it. Its path must be short, because it holds
// a socket. If dir is empty, Start uses a new directory in /tmp.
func Start(ctx context.Context, dir string) (*Private, error) {
	version, err := chosenVersion()
	if err != nil {
		return nil, fmt.Errorf("start a private engine: %w", err)
	}
	p := &Private{version: version}
	if err := p.claim(dir); err != nil {
		return nil, fmt.Errorf("start a private engine: %w", err)
	}
	p.Host = "unix://" + filepath.Join(p.Dir, "s")
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err = p.launch(); err == nil {
		err = p.initialise(ctx)
	}
	if err != nil {
		err = fmt.Errorf("start a private engine: %w%s", err, p.logTail())
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// claim creates the engine's directory and locks it. The system releases the lock when the
// process ends in any way: a directory without a lock is stale, and claim removes it. Only
// one process does this at a time.
func (p *Private) claim(dir string) error {
	looking, err := lock(prefix+"lock", syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer func() { _ = looking.Close() }()
	removeStale()
	if p.Dir = dir; dir == "" {
		p.Dir, err = os.MkdirTemp("/tmp", filepath.Base(prefix))
	} else {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("make its directory: %w", err)
	}
	p.lock, err = lock(filepath.Join(p.Dir, "lock"), syscall.LOCK_EX)
	return err
}

// lock opens a file and locks it.
func lock(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := syscall.Flock(int(file.Fd()), how); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return file, nil
}

// launch runs the engine's process. The system ends it when the thread that started it
// ends, at the latest with this process; therefore the thread is locked.
func (p *Private) launch() error {
	log, err := os.OpenFile(filepath.Join(p.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	command := exec.Command(p.version.program,
		"--host", p.Host,
		"--data-root", filepath.Join(p.Dir, "d"),
		"--exec-root", filepath.Join(p.Dir, "e"),
		"--pidfile", filepath.Join(p.Dir, "p"),
		"--config-file", filepath.Join(p.Dir, "c"),
		"--seccomp-profile", filepath.Join(p.Dir, "f"),
		"--log-level", "warn",
	)
	command.Env = p.version.environment()
	for name, content := range map[string]string{"c": p.version.config, "f": noFilter} {
		if err := os.WriteFile(filepath.Join(p.Dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	started, ended := make(chan error, 1), make(chan struct{})
	p.ended = ended
	go func() {
		runtime.LockOSThread() // without unlocking: the thread stays in the engine's network
		defer close(ended)
		err := ownNetwork()
		if err == nil {
			err = command.Start()
		}
		p.process = command.Process
		started <- err
		_ = log.Close()
		if err == nil {
			_ = command.Wait()
		}
	}()
	return <-started
}

// ownNetwork moves the calling thread, and the processes that it starts, to a new network
// with only a loopback interface. The engine's bridges, ports and firewall rules are thus
// separate from those of the machine, and end with the engine.
func ownNetwork() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network: %w", err)
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set the loopback interface up: %w", err)
	}
	defer func() { _ = unix.Close(socket) }()
	loopback, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("set the loopback interface up: %w", err)
	}
	loopback.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, loopback); err != nil {
		return fmt.Errorf("set the loopback interface up: %w", err)
	}
	return nil
}

// InNetwork runs a function in the engine's network, on a thread that is not used again: what
// the function starts with Pdeathsig ends when it returns.
func (p *Private) InNetwork(run func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // without unlocking: the thread stays in the engine's network
		err := p.enterNetwork()
		if err == nil {
			err = run()
		}
		done <- err
	}()
	return <-done
}

// enterNetwork moves the calling thread to the engine's network.
func (p *Private) enterNetwork() error {
	space, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", p.process.Pid))
	if err != nil {
		return fmt.Errorf("enter the engine's network: %w", err)
	}
	defer func() { _ = space.Close() }()
	if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the engine's network: %w", err)
	}
	return nil
}

// initialise waits until the engine answers, and makes it a Swarm of one node.
func (p *Private) initialise(ctx context.Context) error {
	api, err := client.NewClientWithOpts(client.WithHost(p.Host), client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer func() { _ = api.Close() }()
	err = p.until(ctx, func() error {
		_, err := api.Ping(ctx)
		return err
	})
	if err != nil {
		return err
	}
	_, err = api.SwarmInit(ctx, swarm.InitRequest{ListenAddr: "127.0.0.1:2377", AdvertiseAddr: "127.0.0.1"})
	return err
}

// until waits until check succeeds.
func (p *Private) until(ctx context.Context, check func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return errors.New("it ended at once; are you root?")
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

func (p *Private) logTail() string {
	content, err := os.ReadFile(filepath.Join(p.Dir, "log"))
	if err != nil || len(content) == 0 {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	return "\nits log ends:\n" + string(bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
}

// CopyLog writes the engine's own log to w.
func (p *Private) CopyLog(w io.Writer) error {
	file, err := os.Open(filepath.Join(p.Dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	_, err = io.Copy(w, file)
	return err
}

// Stop stops the engine with all its containers and removes its data.
func (p *Private) Stop() error {
	defer func() { _ = p.lock.Close() }()
	p.end()
	return removeDir(p.Dir)
}

// end stops the engine's process and its containers.
func (p *Private) end() {
	if p.process == nil {
		return
	}
	_ = p.process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopLimit)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		_ = p.process.Kill()
		<-p.ended
	}
}

// shared is the engine of a test binary, which all tests of the package use.
type shared struct {
	once    sync.Once
	host    string
	private *Private
	err     error
}
