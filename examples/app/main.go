// Command app replaces every image of the example repositories.
// It is a small static program that serves HTTP, runs jobs, checks its own health,
// and fails on demand.
//
// It never shows the content of a secret or the value of a setting.
//
//	app [/entrypoint-*.sh]   serve HTTP on LISTEN_PORTS
//	app /job.sh NAME         run the job NAME once
//	app release              print the file /release, as an image of a release prints its bundle
//	app health               request /health from the server of this container
//	app --providers…         route requests as Traefik does, by the labels of services (examples/layers)
//	pg_isready, traefik healthcheck
//	                         health, for the health checks of examples/layers
//	sh -c "exit N"           the only shell command, for CMD-SHELL health checks
//
// Variables: SERVICE_NAME, ENVIRONMENT, NODE_NAME and APP_RELEASE are shown;
// LISTEN_PORTS (8080) lists the ports; SECRETS_DIR (/run/secrets) is the folder of the
// secrets. HEALTH_FAIL=1 makes the server unhealthy, CRASH_AFTER=3s exits with code 3
// after that time, JOB_FAIL=NAME fails that job (1: every job), JOB_DELAY=5s delays
// jobs. SIGTERM ends the program at once, with exit code 143.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	// As PID 1 a program that does not handle SIGTERM ignores it.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := run(ctx, os.Args, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the command in args and returns the exit code.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	if filepath.Base(args[0]) == "sh" {
		return shell(args[1:], stderr)
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	command := "serve"
	if len(args) > 1 {
		command = args[1]
	}
	if name := filepath.Base(args[0]); name == "pg_isready" || name == "traefik" && command == "healthcheck" {
		command = "health"
	}
	var err error
	switch {
	case command == "serve", strings.HasPrefix(command, "/entrypoint"):
		err = serve(ctx, log)
	case strings.HasPrefix(command, "--providers"):
		err = route(ctx, log, args[1:])
	case command == "health":
		err = askHealth(ctx)
	case command == "release":
		err = printRelease(os.Stdout)
	case command == "/job.sh" && len(args) == 3:
		err = job(ctx, log, args[2])
	default:
		fmt.Fprintf(stderr, "app: error: unknown command %q\n", strings.Join(args[1:], " "))
		fmt.Fprintln(stderr, "app: hint: run it with /entrypoint-*.sh, /job.sh NAME, release, health, or without arguments")
		return 2
	}
	if err != nil {
		fmt.Fprintf(stderr, "app: error: %v\n", err)
		return exitCode(err)
	}
	return 0
}

// printRelease prints the bundle of the release that the image is of.
func printRelease(to io.Writer) error {
	bundle, err := os.Open("/release")
	if err != nil {
		return err
	}
	defer bundle.Close() //nolint:errcheck // only read from
	_, err = io.Copy(to, bundle)
	return err
}

// shell runs `-c "exit N"`, because the image has no shell.
func shell(args []string, stderr io.Writer) int {
	if len(args) == 2 && args[0] == "-c" {
		words := strings.Fields(args[1])
		if len(words) == 2 && words[0] == "exit" {
			if code, err := strconv.ParseUint(words[1], 10, 8); err == nil {
				return int(code)
			}
		}
	}
	fmt.Fprintln(stderr, "sh: this image has no shell: only exit N works")
	return 127
}
