package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const stopLimit = 20 * time.Second

// process is a program that runs beside the tool.
type process struct {
	pid   int
	log   string
	ended chan struct{} // closed when it has ended
}

// start starts a program, whose output is added to the file log. The kernel sends SIGTERM to the
// program when the thread that started it ends, at the latest with this process. within runs a
// function on a thread of its own, such as in another network.
func start(command *exec.Cmd, log string, within func(func() error) error) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	defer func() { _ = file.Close() }()
	command.Stdout, command.Stderr = file, file
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	p := &process{log: log, ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.ended)
		err := within(func() error {
			if err := command.Start(); err != nil {
				return err
			}
			p.pid = command.Process.Pid
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

// onThread runs a function on a thread of its own.
func onThread(run func() error) error {
	runtime.LockOSThread() // without unlocking: the goroutine ends, and the thread with it
	return run()
}

// stop ends a program and waits until it has ended.
func (p *process) stop() error {
	_ = syscall.Kill(p.pid, syscall.SIGTERM)
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopLimit):
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
		<-p.ended
		return fmt.Errorf("process %d did not end after SIGTERM, and was killed", p.pid)
	}
}

// clock gives the processor time that a process, and its children that have ended, have used
// since it started. The kernel's clock of a process counts nanoseconds, unlike /proc/PID/stat.
func clock(pid int) (time.Duration, error) {
	const sched = 2 // user and system time of all threads
	var own unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &own); err != nil {
		return 0, fmt.Errorf("read the clock of process %d: %w", pid, err)
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the times of process %d: %w", pid, err)
	}
	_, text, _ := strings.Cut(string(content), ") ") // the name may have spaces
	fields := strings.Fields(text)
	if len(fields) < 15 {
		return 0, fmt.Errorf("read the times of process %d: %q", pid, content)
	}
	used := time.Duration(own.Nano())
	for _, field := range fields[13:15] { // cutime and cstime, in hundredths of a second
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the times of process %d: %w", pid, err)
		}
		used += time.Duration(ticks) * 10 * time.Millisecond
	}
	return used, nil
}

// rest is how long a daemon does nothing when it has finished its work, and little is the
// processor time that does not count as work.
const (
	rest   = 50 * time.Millisecond
	little = 500 * time.Microsecond
)

// settled waits until a daemon rests, and gives the processor time that it has used until then. A
// daemon that waits for the engine does not rest.
func settled(ctx context.Context, pid int, busy func() bool) (used time.Duration, err error) {
	if used, err = clock(pid); err != nil {
		return 0, err
	}
	since := time.Now()
	err = until(ctx, patience, func() error {
		now, err := clock(pid)
		if err != nil || busy() || now-used > little {
			used, since = now, time.Now()
		}
		if err == nil && time.Since(since) < rest {
			err = fmt.Errorf("process %d still works", pid)
		}
		return err
	})
	return used, err
}

// memory is what a process has in memory, in bytes.
type memory struct{ peak, resident, anonymous int64 }

// memoryOf reads the memory of a process.
func memoryOf(pid int) (memory, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	var m memory
	fields := map[string]*int64{"VmHWM": &m.peak, "VmRSS": &m.resident, "RssAnon": &m.anonymous}
	found := 0
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(line, ":")
		if into := fields[name]; into != nil {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return memory{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
			}
			*into, found = kilobytes<<10, found+1
		}
	}
	if found != len(fields) {
		return memory{}, fmt.Errorf("read the memory of process %d: %w", pid, errors.New("the kernel does not tell it"))
	}
	return m, nil
}
