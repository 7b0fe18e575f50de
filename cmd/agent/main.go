// Command agent keeps a Docker Swarm stack in sync with a git repository: `agent run` is
// the daemon, the other commands are its clients or work on a checkout.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// version is set when the binary is built.
var version = "dev"

func main() {
	endPanicsBySignal()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// endPanicsBySignal makes a panic end the process by SIGABRT. Go's own exit code for a panic is
// 2, which means wrong usage here; systemd would not restart the agent after it. Core dumps are
// disabled, because they could contain secrets.
func endPanicsBySignal() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	debug.SetTraceback("crash")
}
