package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/waitfor"
)

// build returns the paths of the program and of its link sh, as in the image.
func build(t *testing.T) (app, sh string) {
	t.Helper()
	dir := t.TempDir()
	app, sh = filepath.Join(dir, "app"), filepath.Join(dir, "sh")
	command := exec.CommandContext(t.Context(), "go", "build", "-o", app, ".")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build app: %v\n%s", err, output)
	}
	if err := os.Symlink(app, sh); err != nil {
		t.Fatal(err)
	}
	return app, sh
}

func TestExitCodes(t *testing.T) {
	app, sh := build(t)
	for _, test := range []struct {
		name string
		env  string
		args []string
		want int
		says string
	}{
		{name: "job", args: []string{app, "/job.sh", "migrate"}, says: "job done"},
		{name: "job fails", env: "JOB_FAIL=migrate", args: []string{app, "/job.sh", "migrate"}, want: 1, says: "JOB_FAIL"},
		{name: "another job fails", env: "JOB_FAIL=test_setup", args: []string{app, "/job.sh", "migrate"}},
		{name: "every job fails", env: "JOB_FAIL=1", args: []string{app, "/job.sh", "migrate"}, want: 1},
		{name: "slow job", env: "JOB_DELAY=1ms", args: []string{app, "/job.sh", "migrate"}},
		{name: "bad delay", env: "JOB_DELAY=soon", args: []string{app, "/job.sh", "migrate"}, want: 1, says: "JOB_DELAY"},
		{name: "crash", env: "CRASH_AFTER=1ms", args: []string{app, "/entrypoint-admin.sh"}, want: 3, says: "CRASH_AFTER"},
		{name: "bad crash", env: "CRASH_AFTER=soon", args: []string{app}, want: 1, says: "CRASH_AFTER"},
		{name: "no server to ask", args: []string{app, "health"}, want: 1, says: "ask for health"},
		{name: "unknown command", args: []string{app, "/bin/bash"}, want: 2, says: "hint"},
		{name: "job without a name", args: []string{app, "/job.sh"}, want: 2, says: "hint"},
		{name: "shell exit 0", args: []string{sh, "-c", "exit 0"}},
		{name: "shell exit 7", args: []string{sh, "-c", "exit 7"}, want: 7},
		{name: "shell anything else", args: []string{sh, "-c", "curl localhost"}, want: 127, says: "no shell"},
	} {
		t.Run(test.name, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), test.args[0], test.args[1:]...)
			command.Env = []string{"LISTEN_PORTS=" + freePort(t), test.env}
			output, err := command.CombinedOutput()
			if got := command.ProcessState.ExitCode(); got != test.want {
				t.Errorf("exit code %d (%v), want %d: %s", got, err, test.want, output)
			}
			if !strings.Contains(string(output), test.says) {
				t.Errorf("output %q does not say %q", output, test.says)
			}
		})
	}
}

func TestServe(t *testing.T) {
	app, _ := build(t)
	secrets := t.TempDir()
	for name, content := range map[string]string{
		"db_access":    "version: 2\nvalue: CANARY\n",
		"scheme.p12":   "version: 1\n\x00\xff CANARY",
		"webhook.auth": "version: CANARY\n",
	} {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := freePort(t), freePort(t)
	env := []string{
		"SERVICE_NAME=sbxapp3_admin_api", "ENVIRONMENT=sandbox", "NODE_NAME=node3",
		"APP_RELEASE=2025-12-15-11eeef9e99", "SECRETS_DIR=" + secrets,
		"LISTEN_PORTS=" + first + "," + second, "API_URL=CANARY",
	}
	start(t, app, env)
	var body string
	for _, port := range []string{first, second} {
		waitfor.NoError(t, 5*time.Minute, func() (err error) {
			body, err = get(t, "http://127.0.0.1:"+port+"/")
			return err
		})
	}
	if strings.Contains(body, "CANARY") {
		t.Errorf("the response contains a value: %s", body)
	}
	var got, want any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{
		"service": "sbxapp3_admin_api", "environment": "sandbox", "node": "node3",
		"release": "2025-12-15-11eeef9e99",
		"settings": ["API_URL", "APP_RELEASE", "ENVIRONMENT", "LISTEN_PORTS", "NODE_NAME", "SECRETS_DIR", "SERVICE_NAME"],
		"secrets": [
			{"name": "db_access", "version": "2"},
			{"name": "scheme.p12", "version": "1"},
			{"name": "webhook.auth", "version": ""}
		]}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestHealth(t *testing.T) {
	app, _ := build(t)
	for _, test := range []struct {
		name, fail string
		want       int
	}{
		{name: "healthy"},
		{name: "unhealthy", fail: "1", want: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			port := freePort(t)
			env := []string{"LISTEN_PORTS=" + port, "HEALTH_FAIL=" + test.fail}
			start(t, app, env)
			waitfor.NoError(t, 5*time.Minute, func() error {
				_, err := get(t, "http://127.0.0.1:"+port+"/")
				return err
			})
			health := exec.CommandContext(t.Context(), app, "health")
			health.Env = env
			output, err := health.CombinedOutput()
			if got := health.ProcessState.ExitCode(); got != test.want {
				t.Errorf("exit code %d (%v), want %d: %s", got, err, test.want, output)
			}
		})
	}
}

// start runs the server, and checks that SIGTERM ends it at once.
func start(t *testing.T, app string, env []string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), app, "/entrypoint-admin.sh")
	command.Env = env
	var output bytes.Buffer
	command.Stderr = &output
	// The test's context ends before its cleanups run: that sends SIGTERM.
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 5 * time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := command.Wait()
		if code := command.ProcessState.ExitCode(); code != 143 {
			t.Errorf("SIGTERM ended the server with %d (%v): %s", code, err, output.String())
		}
	})
}

func get(t *testing.T, url string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
