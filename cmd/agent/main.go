// Command agent keeps a Docker Swarm stack in sync with a git repository: `agent run` is
// the daemon, the other commands are its clients or work on a checkout.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

// version is set when the binary is built.
var version = "dev"

func main() {
	endPanicsBySignal()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := inTime(ctx, endLimit, func() int { return run(ctx, arguments(os.Args), os.Stdout, os.Stderr) })
	stop()
	os.Exit(code)
}

// endLimit is how long the process lives after the signal that ends it. What it is doing is on
// record, and the next start continues it.
const endLimit = 4 * time.Second

// inTime gives the exit code of a command. If the command does not end after a signal, because
// a library does not, the process ends without it.
func inTime(ctx context.Context, limit time.Duration, command func() int) int {
	done := make(chan int, 1)
	go func() { done <- command() }()
	select {
	case code := <-done:
		return code
	case <-ctx.Done():
	}
	select {
	case code := <-done:
		return code
	case <-time.After(limit):
		fmt.Fprintf(os.Stderr, "agent: error: interrupted: the command did not end within %s\n", limit)
		return exitError
	}
}

// endPanicsBySignal makes a panic end the process by SIGABRT. Go's own exit code for a panic is
// 2, which means wrong usage here; systemd would not restart the agent after it. Core dumps are
// disabled, because they could contain secrets.
func endPanicsBySignal() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	debug.SetTraceback("crash")
}
