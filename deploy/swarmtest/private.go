// Package swarmtest gives tests, the demo and the benchmarks a real Swarm: that
// of $SWARM_TEST_HOST, or a private engine of its own, which is ended and
// removed without a trace whatever happens. It also records what is written to
// an engine, and makes writes fail on demand.
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

	"coin.internal/coin-agent/internal/fault"
)

const (
	startLimit = time.Minute
	stopLimit  = 40 * time.Second

	// prefix begins the paths of private engines' directories.
	prefix = "/tmp/coin-swarm-"
)

// Private is an engine of our own with a Swarm of one node.
type Private struct {
	Host string // unix:///…
	Dir  string // holds all that the engine has, and its log

	program string // dockerd
	process *os.Process
	ended   chan struct{} // closed when the engine's process is gone
	lock    *os.File
}

// Start starts a private engine and makes it a Swarm manager. It has a network of
// its own, so that any number of them runs side by side, and beside an engine
// that was there before. Dir is made if need be and removed by Stop; its path
// must be short, as a socket lies in it. An empty dir takes a new one in /tmp.
func Start(ctx context.Context, dir string) (*Private, error) {
	program, err := exec.LookPath("dockerd")
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("start a private engine: %w", err),
			"`make test` installs it; by hand: apt-get install docker.io; or set SWARM_TEST_HOST to an engine that is a Swarm manager")
	}
	p := &Private{program: program}
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

// claim makes the engine's directory and locks it. The system gives the lock
// back when the process ends, however it ends: a directory that is not locked is
// stale, and is removed here. Only one process looks at a time.
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

// launch runs the engine's process. It is told to end when the thread ends that
// started it, that is with this process at the latest; hence the locked thread.
func (p *Private) launch() error {
	log, err := os.OpenFile(filepath.Join(p.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	command := exec.Command(p.program,
		"--host", p.Host,
		"--data-root", filepath.Join(p.Dir, "d"),
		"--exec-root", filepath.Join(p.Dir, "e"),
		"--pidfile", filepath.Join(p.Dir, "p"),
		"--config-file", filepath.Join(p.Dir, "c"),
		"--log-level", "warn",
	)
	if err := os.WriteFile(filepath.Join(p.Dir, "c"), []byte("{}\n"), 0o600); err != nil {
		return err
	}
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	started, ended := make(chan error, 1), make(chan struct{})
	p.ended = ended
	go func() {
		runtime.LockOSThread() // for good: the thread is lost to the engine's network
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

// ownNetwork puts the calling thread, and what it starts, into a network of its
// own, with nothing but a loopback interface. So the engine's bridges, ports and
// firewall rules never meet those of the machine, and go with the engine.
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

// initialise waits for the engine to answer and makes it a Swarm of one.
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

// until waits for the engine to be as check wants it.
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

// Stop ends the engine with all its containers and removes what it had.
func (p *Private) Stop() error {
	defer func() { _ = p.lock.Close() }()
	p.end()
	return removeDir(p.Dir)
}

// end ends the engine's process, and with it its containers.
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

// shared is the one engine of a test binary; tests of a package use it together.
type shared struct {
	once    sync.Once
	host    string
	private *Private
	err     error
}
