package layers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/waitfor"
	"coin.internal/coin-agent/sync/gittest"
)

func TestMain(m *testing.M) { os.Exit(swarmtest.Main(m)) }

const (
	patience = 5 * time.Minute
	folder   = "environments/sandbox/nodes/node1/"
)

// lab is the node of the example: a Swarm behind a recorder, the repository on a git server,
// GitLab, and the agent as a process.
type lab struct {
	t        *testing.T
	swarm    *swarmtest.Swarm
	recorder *swarmtest.Recorder
	repo     *gittest.Repo
	gitlab   *gitlabtest.Instance
	files    map[string]string // of the repository
	binary   string
	config   string
	socket   string
	web      string // where the router's port answers
	process  *exec.Cmd
	log      *os.File
}

// newLab makes the node. No daemon runs yet.
func newLab(t *testing.T) *lab {
	t.Helper()
	engine := swarmtest.Engine(t)
	for _, stack := range []string{"system", "platform", "business"} {
		engine.Named(t, stack)
	}
	engine.Image(t, "traefik:v3.3.4", "postgres:16.6",
		"harbor.example.com/ois/api-gateway:2026-01-13-0a1b2c3d4e", "harbor.example.com/ois/pages:2026-01-13-0a1b2c3d4e")
	dir, err := os.MkdirTemp("", "layers") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l := &lab{
		t: t, swarm: engine, recorder: engine.Record(t), repo: gittest.New(t), gitlab: gitlabtest.New(t),
		binary: filepath.Join(dir, "agent"), config: filepath.Join(dir, "agent.yml"), socket: filepath.Join(dir, "agent.sock"), web: engine.Reach(t, "80"),
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-tags=grpcnotrace", "-ldflags=-s -w", "-o", l.binary, "../../cmd/agent")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build agent: %v\n%s", err, output)
	}
	if l.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{
		"environment": "sandbox", "node": "node1", "repository": gittest.HTTP(t, l.repo.Root(), gittest.Options{Remember: true}).URL + "/repo",
		"age_key_files": private(t, "../keys/sandbox.agekey"), "engine": l.recorder.Host,
		"state_dir": dir + "/state", "socket": l.socket, "listen": "127.0.0.1:0", "interval": "1s", "log_format": "json",
		"gitlab_url": l.gitlab.URL, "gitlab_project": "coin/coin-gitops", "gitlab_token_file": l.gitlab.TokenFile,
	}
	var text strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&text, "%s: %q\n", name, value)
	}
	if err := os.WriteFile(l.config, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	l.files = l.example()
	t.Cleanup(l.end)
	return l
}

// example reads the repository. It has the socket of the private engine, the address where the
// test reaches the router, and faster health checks. The stand-in for Traefik reads the socket as
// root, as Traefik does.
func (l *lab) example() map[string]string {
	l.t.Helper()
	change := strings.NewReplacer(
		"/var/run/docker.sock:/var", strings.TrimPrefix(l.swarm.Host, "unix://")+":/var",
		"image: traefik:v3.3.4", "image: traefik:v3.3.4\n    user: \"0\"",
		`"{{public_ip}}:80"`, fmt.Sprintf("%q", l.web), "http://{{public_ip}}", "http://"+l.web,
		"interval: 5s", "interval: 1s", "- name: platform", "- name: platform\n        prune: true",
		"deployment:\n", "images: {missing: warn}\ndeployment:\n", // they are in no registry
	)
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS("."), "environments", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[path] = change.Replace(string(content))
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return files
}

// commit commits the files with texts replaced: a file, what it has, and what it gets.
func (l *lab) commit(message string, edits ...[3]string) string {
	l.t.Helper()
	for _, edit := range edits {
		before := l.files[edit[0]]
		if l.files[edit[0]] = strings.Replace(before, edit[1], edit[2], 1); l.files[edit[0]] == before {
			l.t.Fatalf("%s does not have %q", edit[0], edit[1])
		}
	}
	sha := l.repo.Commit(message, l.files)
	l.gitlab.AddCommit(sha, "master")
	return sha
}

// start starts the daemon.
func (l *lab) start() {
	l.t.Helper()
	l.process = exec.Command(l.binary, "run", "--config", l.config)
	l.process.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + filepath.Dir(l.config)}
	l.process.Stderr = l.log
	if err := l.process.Start(); err != nil {
		l.t.Fatal(err)
	}
}

// end ends the daemon, and shows its log if the test failed.
func (l *lab) end() {
	if l.process != nil {
		_ = l.process.Process.Signal(os.Interrupt)
		_ = l.process.Wait()
	}
	if content, err := os.ReadFile(l.log.Name()); err == nil && l.t.Failed() {
		l.t.Logf("the agent's log:\n%s", content)
	}
	_ = l.log.Close()
}

// run runs a command of the agent, and gives its exit code and what it prints.
func (l *lab) run(args ...string) (int, string) {
	l.t.Helper()
	command := exec.CommandContext(l.t.Context(), l.binary, append(args, "--config", l.config)...)
	output, err := command.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		l.t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(output)
}

// status asks for a stack; "" is the whole node.
func (l *lab) status(stack string) (report.Status, error) {
	return control.NewClient(l.socket).Of(record.StackKey(stack)).Status(l.t.Context())
}

// await waits until a stack's sync of a commit has an outcome.
func (l *lab) await(stack, commit string, want record.State) (status report.Status) {
	l.t.Helper()
	waitfor.NoError(l.t, patience, func() (err error) {
		if status, err = l.status(stack); err != nil {
			return err
		}
		if last := status.Sync; last != nil && last.Commit == commit && last.State == record.Failed && want != record.Failed {
			l.t.Fatalf("%s failed: %s", stack, last.Error)
		} else if last == nil || last.Commit != commit || last.State != want || status.Progress != "" {
			return fmt.Errorf("%s is at %+v, not yet %s: %s", stack, last, want, status.PollError)
		}
		return nil
	})
	return status
}

// versions gives the version of each service: a write raises it.
func (l *lab) versions() map[string]uint64 {
	l.t.Helper()
	services, err := l.swarm.API.ServiceList(l.t.Context(), swarm.ServiceListOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	versions := map[string]uint64{}
	for _, one := range services {
		versions[one.Spec.Name] = one.Version.Index
	}
	return versions
}

// changed lists the services that were written, made or removed since.
func (l *lab) changed(since map[string]uint64) (names []string) {
	now := l.versions()
	for name, version := range now {
		if since[name] != version {
			names = append(names, name)
		}
	}
	for name := range since {
		if now[name] == 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// answers gets a page through the router, and gives the secrets of the service that answers.
func (l *lab) answers(host, path string) (secrets string, err error) {
	request, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, "http://"+l.web+path, http.NoBody)
	if err != nil {
		return "", err
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return "", errors.Join(err, fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(body)))
	}
	var shown struct{ Secrets []struct{ Name string } }
	err = json.Unmarshal(body, &shown)
	return fmt.Sprint(shown.Secrets), err
}
