package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"coin.internal/coin-agent/deploy/swarmtest"
)

// world is what the agent works with, and the agent.
type world struct {
	services int

	dir    string
	repo   repository
	head   string // of the branch
	load   *load
	server *server
	engine *swarmtest.Private
	hooks  string // the URL that takes hooks
	agent  *os.Process
	ended  chan struct{} // closed when the agent has ended
	undo   []func() error
}

// open starts everything, the agent last.
func (w *world) open(ctx context.Context) error {
	dir, err := os.MkdirTemp("/tmp", "coin-soak-") // short, because it contains sockets
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	w.dir = dir
	w.later(func() error { return os.RemoveAll(dir) })
	if err := w.build(ctx); err != nil {
		return err
	}
	identity, recipient, err := newKey()
	if err != nil {
		return err
	}
	w.load = newLoad(w.services)
	files, err := w.load.files(recipient)
	if err != nil {
		return err
	}
	w.repo = repository{filepath.Join(dir, "git", project)}
	if w.head, err = w.repo.make(ctx, files); err != nil {
		return err
	}
	if w.server, err = serve(filepath.Join(dir, "git"), w.repo.branches(ctx), w.repo.tips(ctx)); err != nil {
		return err
	}
	w.later(w.server.http.Close)
	if w.engine, err = swarmtest.Start(ctx, ""); err != nil {
		return err
	}
	w.later(w.engine.Stop)
	if err := w.settings(identity); err != nil {
		return err
	}
	return w.start()
}

// later adds a step of the clean-up.
func (w *world) later(do func() error) { w.undo = append(w.undo, do) }

// close cleans up, the last step first.
func (w *world) close() error {
	var errs []error
	for _, do := range slices.Backward(w.undo) {
		errs = append(errs, do())
	}
	return errors.Join(errs...)
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// build builds the agent as `make build` does.
func (w *world) build(ctx context.Context) error {
	command := exec.CommandContext(ctx, "go", "build", "-tags=grpcnotrace", "-trimpath", "-ldflags=-s -w", "-o", w.path("agent"), "coin.internal/coin-agent/cmd/agent")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build the agent: %w\n%s", err, output)
	}
	return nil
}

// settings writes the agent's settings. Between hooks the agent rests.
func (w *world) settings(identity string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	api := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	w.hooks = "http://" + api + "/hooks/gitlab"
	text := fmt.Sprintf(`environment: %s
node: %s
repository: %s/%s
git_token_file: %s
age_key_files: [%s]
engine: %s
state_dir: %s
socket: %s
listen: 127.0.0.1:0
api_listen: %s
webhook_token_file: %s
interval: 24h
gitlab_url: %s
gitlab_project: %s
gitlab_token_file: %s
merge_request_plans: true
`, environment, node, w.server.url, project, w.path("token"), w.path("age.key"), w.engine.Host, w.path("state"), w.path("s"),
		api, w.path("hook"), w.server.url, project, w.path("token"))
	for name, content := range map[string]string{"agent.yml": text, "token": token + "\n", "hook": hookWord + "\n", "age.key": identity + "\n"} {
		if err := os.WriteFile(w.path(name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("write the agent's settings: %w", err)
		}
	}
	return nil
}

// start starts the agent. The kernel ends it when the thread that started it ends; therefore
// the thread is locked.
func (w *world) start() error {
	log, err := os.Create(w.path("log"))
	if err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	defer func() { _ = log.Close() }()
	command := exec.Command(w.path("agent"), "run", "--config", w.path("agent.yml"))
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + w.dir}
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	w.ended = make(chan struct{})
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer close(w.ended)
		err := command.Start()
		w.agent = command.Process
		started <- err
		if err == nil {
			_ = command.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	w.later(w.stop)
	return nil
}

// stop ends the agent.
func (w *world) stop() error {
	_ = w.agent.Signal(syscall.SIGTERM)
	select {
	case <-w.ended:
		return nil
	case <-time.After(patience):
		_ = w.agent.Kill()
		<-w.ended
		return errors.New("the agent did not end after SIGTERM, and was killed")
	}
}

// logTail gives the end of the agent's log as an error.
func (w *world) logTail() error {
	content, err := os.ReadFile(w.path("log"))
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return fmt.Errorf("the agent's log ends:\n%s", strings.Join(lines[max(0, len(lines)-15):], "\n"))
}
