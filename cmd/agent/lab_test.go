package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/internal/waitfor"
	"coin.internal/coin-agent/sync/gittest"
)

// binary is the real agent, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

// patience is how long what must come is waited for. It is long: the machine may be
// busy with other tests.
const patience = 5 * time.Minute

func testMain(m *testing.M) int {
	if os.Getenv(panicVariable) != "" {
		panicAsMain()
	}
	if dir := os.Getenv(manVariable); dir != "" { // for packages
		if err := writeManPages(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	if err := os.Setenv("TZ", "UTC"); err != nil { // what is shown is the same wherever the tests run
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "agent-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "agent")
	build := exec.Command("go", "build", "-tags=grpcnotrace", "-ldflags=-s -w", "-o", binary, ".") // as make build does: it links faster
	// Static, as released: it also runs in an image without libraries.
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build agent: %v\n%s", err, out)
		return 1
	}
	return swarmtest.Main(m)
}

// lab is one node's world: a Swarm behind a recorder, a git server, GitLab, and
// the agent as a process of its own.
type lab struct {
	t        *testing.T
	swarm    *swarmtest.Swarm
	recorder *swarmtest.Recorder
	stack    string
	repo     *gittest.Repo
	git      *gittest.HTTPServer
	gitlab   *gitlabtest.Instance
	key      sopstest.Key
	dir      string
	settings map[string]string
	mappings string // policy and limits, as lines of agent.yml

	process *exec.Cmd
	log     string // the file that the daemon's output goes to: what it wrote before an answer is there with the answer
}

// newLab makes a world whose repository holds files.
func newLab(t *testing.T) *lab {
	t.Helper()
	return newLabOn(t, swarmtest.Engine(t))
}

// newLabOn is newLab on an engine of the test's choice.
func newLabOn(t *testing.T, s *swarmtest.Swarm) *lab {
	t.Helper()
	l := &lab{
		t: t, swarm: s, recorder: s.Record(t), stack: s.Stack(t), repo: gittest.New(t),
		gitlab: gitlabtest.New(t), key: sopstest.NewKey(t), log: filepath.Join(t.TempDir(), "log"),
	}
	dir, err := os.MkdirTemp("", "lab") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l.dir = dir
	l.git = gittest.HTTP(t, l.repo.Root(), gittest.Options{Remember: true})
	l.settings = map[string]string{
		"environment": "sandbox", "node": "node3",
		"repository": l.git.URL + "/repo", "age_key_files": l.file("age.key", l.key.Identity+"\n"),
		"engine": l.recorder.Host, "state_dir": dir + "/state", "socket": dir + "/agent.sock", "listen": "127.0.0.1:0",
		"interval": "1s", "log_level": "debug", "log_format": "json",
		"gitlab_url": l.gitlab.URL, "gitlab_project": "coin/coin-gitops", "gitlab_token_file": l.gitlab.TokenFile,
	}
	t.Cleanup(func() {
		l.stop()
		if t.Failed() {
			t.Logf("agent log:\n%s", l.logText())
		}
	})
	return l
}

// file writes a private file into the lab.
func (l *lab) file(name, content string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// commit commits files and lets GitLab know of it.
func (l *lab) commit(message string, files map[string]string) string {
	l.t.Helper()
	sha := l.repo.Commit(message, files)
	l.gitlab.AddCommit(sha, "master")
	return sha
}

// config writes the settings and gives their file.
func (l *lab) config() string {
	var text strings.Builder
	names := make([]string, 0, len(l.settings))
	for name := range l.settings {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&text, "%s: %q\n", name, l.settings[name])
	}
	path := l.file("agent.yml.new", text.String()+l.mappings)
	if err := os.Rename(path, filepath.Join(l.dir, "agent.yml")); err != nil { // others may read it now
		l.t.Fatal(err)
	}
	return filepath.Join(l.dir, "agent.yml")
}

// start starts the daemon.
func (l *lab) start() {
	l.t.Helper()
	command := exec.Command(binary, "run", "--config", l.config())
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + l.dir} // what it leaves lies in the lab
	log, err := os.OpenFile(l.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.process = command
}

// kill ends the daemon as a crash does.
func (l *lab) kill() {
	l.t.Helper()
	if err := l.process.Process.Signal(syscall.SIGKILL); err != nil {
		l.t.Fatal(err)
	}
	_ = l.process.Wait()
	l.process = nil
}

// stop ends the daemon as systemd does. The daemon has to end, whatever it is waiting for.
func (l *lab) stop() {
	if l.process == nil {
		return
	}
	l.t.Helper()
	hangs := time.AfterFunc(patience, func() { _ = l.process.Process.Kill() })
	defer hangs.Stop()
	_ = l.process.Process.Signal(syscall.SIGTERM)
	if err := l.process.Wait(); err != nil {
		l.t.Errorf("after SIGTERM the daemon ended with %v", err)
	}
	l.process = nil
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}

func (l *lab) logText() string {
	text, err := os.ReadFile(l.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.t.Error(err)
	}
	return string(text)
}

// command runs one command line in this process.
func (l *lab) command(args ...string) (code int, stdout, stderr string) {
	l.t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	code = run(ctx, append(args, "--config", l.config()), &out, &errs)
	return code, out.String(), errs.String()
}

// status asks the daemon.
func (l *lab) status() (report.Status, error) {
	return control.NewClient(l.settings["socket"]).Status(context.Background())
}

// await waits until the last sync of a commit has come to an outcome.
func (l *lab) await(commit string, want record.State) report.Status {
	l.t.Helper()
	var status report.Status
	waitfor.NoError(l.t, patience, func() error {
		var err error
		if status, err = l.status(); err != nil {
			return err
		}
		switch {
		case status.Sync == nil || status.Sync.Commit != commit:
			return fmt.Errorf("no sync of %s yet; the last look said %q", commit, status.PollError)
		case status.Sync.State != want:
			return fmt.Errorf("%s is %s at %s: %s %s", commit, status.Sync.State, status.Sync.Stage, status.Sync.Error, status.Progress)
		case status.Progress != "":
			return errors.New("still at work")
		}
		return nil
	})
	return status
}

// posts lists the states that GitLab took of this node for a commit, in order, once
// the last of them is want.
func (l *lab) posts(commit, want string) []string {
	l.t.Helper()
	name := "coin-agent/" + l.settings["environment"] + "/" + l.settings["node"]
	var states []string
	waitfor.NoError(l.t, patience, func() error {
		states = nil
		for _, post := range l.gitlab.Statuses(commit).Posts {
			if post.Name == name {
				states = append(states, post.State)
			}
		}
		if len(states) == 0 || states[len(states)-1] != want {
			return fmt.Errorf("GitLab has %v, not yet %s", states, want)
		}
		return nil
	})
	return states
}

// service inspects a service of the stack.
func (l *lab) service(name string) swarm.Service {
	l.t.Helper()
	service, _, err := l.swarm.API.ServiceInspectWithRaw(l.t.Context(), l.stack+"_"+name, swarm.ServiceInspectOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	return service
}

// versions gives the version index of every service of the stack: what is
// written changes its index.
func (l *lab) versions() map[string]uint64 {
	l.t.Helper()
	services, err := l.swarm.API.ServiceList(l.t.Context(), swarm.ServiceListOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	versions := map[string]uint64{}
	for _, service := range services {
		if short, ok := strings.CutPrefix(service.Spec.Name, l.stack+"_"); ok {
			versions[short] = service.Version.Index
		}
	}
	return versions
}

// secrets lists the names of the stack's secrets.
func (l *lab) secrets() []string {
	l.t.Helper()
	list, err := l.swarm.API.SecretList(l.t.Context(), swarm.SecretListOptions{
		Filters: filters.NewArgs(filters.Arg("label", "com.docker.stack.namespace="+l.stack)),
	})
	if err != nil {
		l.t.Fatal(err)
	}
	var names []string
	for _, secret := range list {
		names = append(names, secret.Spec.Name)
	}
	slices.Sort(names)
	return names
}

// decode reads JSON that a command printed.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return value
}
