// Command demo shows the agent at work to new users: the agent rolls out a merged
// change automatically, and reports the result. `make demo` runs it.
//
//	go run ./examples/demo [-full] [-keep]
//
// It needs root on a Linux machine with Go, and installs other missing programs. It
// uses its own folder and a private Docker engine. It cleans up when it ends, also
// after a failure or Ctrl-C. -full adds the way of a release through two environments;
// -keep leaves everything running until Ctrl-C.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"coin.internal/coin-agent/examples/local"
	"coin.internal/coin-agent/internal/fault"
)

const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	// SIGPIPE: `make demo | head` must clean up, too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	code := run(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(code)
}

// run runs the demo, cleans up and returns the exit code.
func run(ctx context.Context, args []string, out io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(out)
	var asked options
	flags.BoolVar(&asked.full, "full", false, "also bring a release through two environments with five agents, and back")
	flags.BoolVar(&asked.keep, "keep", false, "leave everything running until Ctrl-C")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exitUsage
	}
	say := newNarrator(out)
	w := &world{say: say}
	err := w.tell(ctx, asked)
	interrupted := err != nil && ctx.Err() != nil
	switch {
	case interrupted:
		say.line("\nInterrupted.")
	case err != nil:
		w.explain(err)
	}
	closeErr := w.close(ctx)
	switch {
	case closeErr != nil:
		say.failure(fmt.Errorf("clean up: %w", closeErr))
		return exitFailed
	case interrupted:
		return exitInterrupted
	case err != nil:
		return exitFailed
	}
	return 0
}

// explain prints why the demo failed, and the end of the agent's and the engine's
// logs.
func (w *world) explain(err error) {
	w.say.line("")
	for _, one := range fault.All(err) {
		w.say.failure(one)
		if hint := fault.Hint(one); hint != "" {
			w.say.line("demo: hint: %s", hint)
		}
	}
	if w.agent != nil {
		w.say.line("\nThe end of the agent's log:\n%s", w.agent.LogEnd())
	}
	if w.engine != nil {
		var content bytes.Buffer
		err := w.engine.CopyLog(&content)
		w.say.line("\nThe end of the engine's log:\n%s", local.Tail(content.Bytes(), err))
	}
}
