package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// stopLimit is how long a process may take to end after SIGTERM.
const stopLimit = time.Minute

// Process is a program that runs in the background.
type Process struct {
	ID    int
	Ended chan struct{} // closed when it has ended

	log string // the file of its output
}

// BuildAgent builds the agent, smaller by what only debuggers read.
func BuildAgent(ctx context.Context, program string) error {
	command := exec.CommandContext(ctx, "go", "build", "-tags=grpcnotrace", "-trimpath", "-ldflags=-s -w", "-o", program, "coin.internal/coin-agent/cmd/agent")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	_, err := Output(command)
	return err
}

// StartAgent starts the daemon with the settings of a file, and none of this process' environment.
func StartAgent(program, config, log string) (*Process, error) {
	command := exec.Command(program, "run", "--config", config)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "TMPDIR=" + filepath.Dir(config)}
	return Start(command, log, OnThread)
}

// Start starts a program, whose output is added to the file log. It is in a process group of its own,
// so that Ctrl-C does not end it before this process does. The kernel sends SIGTERM to the program when
// the thread that started it ends, at the latest with this process. within runs a function on a
// thread of its own, such as in another network.
func Start(command *exec.Cmd, log string, within func(func() error) error) (*Process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	defer func() { _ = file.Close() }()
	command.Stdout, command.Stderr = file, file
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	p := &Process{log: log, Ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.Ended)
		err := within(func() error {
			if err := command.Start(); err != nil {
				return err
			}
			p.ID = command.Process.Pid
			started <- nil
			_ = command.Wait()
			return nil
		})
		if err != nil {
			started <- err
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	return p, nil
}

// OnThread runs a function on a thread of its own.
func OnThread(run func() error) error {
	runtime.LockOSThread() // without unlocking: the goroutine ends, and the thread with it
	return run()
}

// Stop ends a program and waits until it has ended.
func (p *Process) Stop() error {
	select {
	case <-p.Ended: // another process may have its ID now
		return nil
	default:
	}
	_ = syscall.Kill(p.ID, syscall.SIGTERM)
	select {
	case <-p.Ended:
		return nil
	case <-time.After(stopLimit):
		_ = syscall.Kill(p.ID, syscall.SIGKILL)
		<-p.Ended
		return fmt.Errorf("process %d did not end after SIGTERM, and was killed", p.ID)
	}
}

// LogEnd gives the last lines of the program's output, or why they cannot be read.
func (p *Process) LogEnd() string { return Tail(os.ReadFile(p.log)) }

// Tail gives the last lines of a log, or the error of reading it.
func Tail(content []byte, err error) string {
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
