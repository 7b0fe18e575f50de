package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/waitfor"
)

// TestUnitIsRestricted has systemd judge the unit: 1.5 of 10 at most.
func TestUnitIsRestricted(t *testing.T) {
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", "../../packaging/coin-agent.service").CombinedOutput()
	if err != nil || strings.Contains(string(out), "ignoring") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestDaemonUnderSystemd plays systemd: the daemon says that it is ready although nothing that
// it depends on answers, that it makes progress, and that it ends. A reload takes the log level.
func TestDaemonUnderSystemd(t *testing.T) {
	dir := openFolder(t, os.Getuid())
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = systemd.Close() })
	config := filepath.Join(dir, "agent.yml")
	write := func(level string) {
		text := fmt.Sprintf("environment: sandbox\nnode: node3\nrepository: %[1]s/none\nengine: unix://%[1]s/none.sock\nstate_dir: %[1]s/state\nsocket: %[1]s/run/agent.sock\nlisten: \"\"\nlog_level: %s\n", dir, level)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("error")
	daemon := exec.Command(binary, "run", "--config", config)
	daemon.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=200000")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	daemon.Stderr = log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	t.Cleanup(func() { _ = daemon.Process.Kill() })
	hears := func(want string) {
		t.Helper()
		said := make([]byte, 500)
		if err := systemd.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := systemd.Read(said)
			if err != nil {
				t.Fatalf("systemd did not hear %s: %v", want, err)
			}
			if string(said[:n]) == want {
				return
			}
		}
	}
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		hears(want)
	}
	write("info")
	if err := daemon.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitfor.NoError(t, patience, func() error {
		if text := readFile(t, log.Name()); !strings.Contains(text, "policy reloaded") { // logged below the level error
			return fmt.Errorf("log: %s", text)
		}
		return nil
	})
	if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hears("STOPPING=1")
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

// TestWrongSettings lists all that is wrong with settings, wherever they come from, and exits
// with 2: systemd does not start the agent again.
func TestWrongSettings(t *testing.T) {
	config := filepath.Join(t.TempDir(), "agent.yml")
	if err := os.WriteFile(config, []byte("node: node3\nnodes: x\ninterval: 2days\nlog_level: loud\nmode: Observe\ntag_pattern: \"(\"\napi_tokens: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("COIN_AGENT_MERGE_REQUEST_PLANS", "perhaps")
	t.Setenv("COIN_AGENT_LISTN", "x")
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"run", "--config", config, "--gitlab-url", "http://gitlab.example.com"}, &out, &errs); code != exitUsage {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{
		`agent.yml:2:1: unknown setting "nodes"`, `agent.yml:3:1: interval: "2days" is not a valid duration`, `unknown log level "loud"`, `unknown mode "Observe"`,
		"tag_pattern: error parsing", "api_tokens is not a list", "COIN_AGENT_MERGE_REQUEST_PLANS: \"perhaps\" is neither", "the environment variable COIN_AGENT_LISTN",
		"the setting environment is missing", "the setting repository is missing", "the setting gitlab_project is missing", "gitlab_url does not use TLS",
	} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("not told: %s", want)
		}
	}
	if t.Failed() {
		t.Log(errs.String())
	}
}

// TestWrongFiles lists all that is wrong with the files that settings name, and exits with 2, too.
func TestWrongFiles(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, []byte("glpat-canary\n"), 0o644); err != nil { //nolint:gosec // that is what is wrong
		t.Fatal(err)
	}
	config := filepath.Join(dir, "agent.yml")
	text := "environment: sandbox\nnode: node3\nrepository: ftp://git.example.com/coin\nage_key_files: [" + dir + "/key]\n" +
		"gitlab_url: https://gitlab.example.com\ngitlab_project: coin/coin-gitops\ngitlab_token_file: " + open + "\n" +
		"api_listen: 127.0.0.1:0\napi_tokens: [{name: ci, scope: read, file: " + dir + "/api}]\n" +
		"metrics_listen: 127.0.0.1:0\nmetrics_token_file: " + dir + "/scrape\nmetrics_cert_file: " + dir + "/cert\nmetrics_key_file: " + dir + "/certkey\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"run", "--config", config}, &out, &errs); code != exitUsage {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{"ftp", dir + "/key: read the key file", open + ": other users can access the token file (mode 0644)", dir + "/api: read the API token ci", dir + "/scrape: read", dir + "/certkey: read the key of the certificate"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("not told: %s", want)
		}
	}
	if t.Failed() {
		t.Log(errs.String())
	}
}

// TestVaultTokenThatComesLater exits with 1 without the token of Vault, which another process writes: systemd
// starts the agent again.
func TestVaultTokenThatComesLater(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "agent.yml")
	text := "environment: sandbox\nnode: node3\nrepository: https://git.example.com/coin\nstate_dir: " + dir + "/state\n" +
		"key_services: [hc_vault]\nvault_address: https://vault.example.com:8200\nvault_token_file: " + dir + "/token\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command(binary, "run", "--config", config)
	said, _ := daemon.CombinedOutput()
	if code := daemon.ProcessState.ExitCode(); code != exitError || !strings.Contains(string(said), dir+"/token: read the token file of the Vault") {
		t.Errorf("exit %d: %s", code, said)
	}
}
