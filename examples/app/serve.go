package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

var (
	errCrash   = errors.New("crashed on demand (CRASH_AFTER)")
	errStopped = errors.New("stopped by a signal")
)

// exitCode returns the exit code for err. After SIGTERM it is 143, as the kernel sets
// it. With 0, Swarm would not restart a service with `condition: on-failure` that the
// engine stopped because it was unhealthy.
func exitCode(err error) int {
	switch {
	case errors.Is(err, errCrash):
		return 3
	case errors.Is(err, errStopped):
		return 143
	default:
		return 1
	}
}

// serve serves HTTP on all ports until ctx ends, CRASH_AFTER has passed, or a port
// fails.
func serve(ctx context.Context, log *slog.Logger) error {
	crash, err := crashTimer()
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(), ReadHeaderTimeout: 5 * time.Second}
	defer func() { _ = server.Close() }()
	failed := make(chan error)
	for _, port := range ports() {
		listener, err := net.Listen("tcp", net.JoinHostPort("", port))
		if err != nil {
			return fmt.Errorf("listen on port %q: %w", port, err)
		}
		go func() {
			select {
			case failed <- server.Serve(listener):
			case <-ctx.Done():
			}
		}()
	}
	log.Info("serving", "ports", strings.Join(ports(), ","), "release", os.Getenv("APP_RELEASE"))
	select {
	case <-ctx.Done():
		return errStopped
	case <-crash:
		return errCrash
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	}
}

// crashTimer returns a channel that fires after CRASH_AFTER, or nil if it is not set.
func crashTimer() (<-chan time.Time, error) {
	after := os.Getenv("CRASH_AFTER")
	if after == "" {
		return nil, nil
	}
	duration, err := time.ParseDuration(after)
	if err != nil {
		return nil, fmt.Errorf("read CRASH_AFTER: %w", err)
	}
	return time.After(duration), nil
}

func ports() []string {
	list := os.Getenv("LISTEN_PORTS")
	if list == "" {
		list = "8080"
	}
	return strings.Split(list, ",")
}

func handler() http.Handler {
	mux := http.NewServeMux()
	health := func(w http.ResponseWriter, _ *http.Request) {
		if os.Getenv("HEALTH_FAIL") != "" {
			http.Error(w, "unhealthy on demand (HEALTH_FAIL)", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
	shown := func(w http.ResponseWriter, _ *http.Request) {
		report, err := look()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(report) // fails only if the client has closed the connection
	}
	mux.HandleFunc("GET /health", health)
	mux.HandleFunc("GET /{$}", shown)
	mux.HandleFunc("GET /{part}/health", health) // behind a router that keeps the path
	mux.HandleFunc("GET /{part}", shown)
	return mux
}

// askHealth is the container's health check.
func askHealth(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	url := "http://" + net.JoinHostPort("127.0.0.1", ports()[0]) + "/health"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask for health: %s returned %s", url, response.Status)
	}
	return nil
}

// job waits for JOB_DELAY, and fails if JOB_FAIL matches its name.
func job(ctx context.Context, log *slog.Logger, name string) error {
	log.Info("job started", "job", name, "release", os.Getenv("APP_RELEASE"))
	if delay := os.Getenv("JOB_DELAY"); delay != "" {
		duration, err := time.ParseDuration(delay)
		if err != nil {
			return fmt.Errorf("read JOB_DELAY: %w", err)
		}
		select {
		case <-time.After(duration):
		case <-ctx.Done():
			return fmt.Errorf("job %s: %w", name, errStopped)
		}
	}
	if fail := os.Getenv("JOB_FAIL"); fail == name || fail == "1" {
		return fmt.Errorf("job %s: failed on demand (JOB_FAIL)", name)
	}
	log.Info("job done", "job", name)
	return nil
}
