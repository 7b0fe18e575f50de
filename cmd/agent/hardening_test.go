package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"coin.internal/coin-agent/internal/waitfor"
)

// nobody is a user without rights, for tests that run as root.
const nobody = 65534

// openFolder makes a folder that every user may enter, and gives it to one.
func openFolder(t *testing.T, user int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent-user-") //nolint:usetesting // others may not enter the folders of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, user, -1)); err != nil { //nolint:gosec // that is its purpose
		t.Fatal(err)
	}
	return dir
}

// otherDaemon gives a daemon that runs as a user who is not root, in a folder of its own.
func otherDaemon(t *testing.T, more ...string) *exec.Cmd {
	t.Helper()
	user := os.Getuid()
	var credential *syscall.Credential
	if user == 0 {
		user = nobody
		credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	dir := openFolder(t, user)
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "agent"), program, 0o755); err != nil { //nolint:gosec // to be run by another user
		t.Fatal(err)
	}
	daemon := exec.Command(filepath.Join(dir, "agent"), "run", "--config", "/dev/null", "--environment", "sandbox", "--node", "node3",
		"--repository", dir+"/none", "--engine", "unix://"+dir+"/none.sock", "--state-dir", dir+"/state", "--socket", dir+"/run/agent.sock", "--listen", "")
	daemon.Args = append(daemon.Args, more...)
	daemon.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	return daemon
}

// Of a daemon that may be dumped, the kernel gives /proc/PID/environ to its user;
// of one that may not, to root: no debugger of that user attaches either.
func TestDaemonIsClosedToItsOwnUser(t *testing.T) {
	daemon := otherDaemon(t)
	dir := filepath.Dir(daemon.Path)
	var said bytes.Buffer
	daemon.Stdout, daemon.Stderr = &said, &said
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Signal(syscall.SIGTERM)
		_ = daemon.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	waitfor.NoError(t, patience, func() error {
		_, err := os.Stat(dir + "/run/agent.sock")
		return err
	})
	info, err := os.Stat(fmt.Sprintf("/proc/%d/environ", daemon.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
		t.Errorf("the daemon's memory is open to the user %d", owner)
	}
	for path, want := range map[string]os.FileMode{"/state": 0o700, "/state/state.db": 0o600, "/state/audit.log": 0o600, "/run": 0o700, "/run/agent.sock": 0o600} {
		if info, err := os.Stat(dir + path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
}

// A key that others may read keeps the daemon from starting at all.
func TestDaemonRefusesOpenKeys(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "age.key")
	if err := os.WriteFile(key, []byte("x"), 0o644); err != nil { //nolint:gosec // that is what the test is about
		t.Fatal(err)
	}
	out, err := exec.Command(binary, "run", "--config", "/dev/null", "--environment", "sandbox", "--node", "node3", "--repository", dir,
		"--age-key-files", key, "--state-dir", dir+"/state", "--socket", dir+"/agent.sock", "--listen", "").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "other users can access the key file") || !strings.Contains(string(out), "hint: chmod 600 "+key) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestSocketGroupThatCannotBe has settings with a group that the daemon does not run with. systemd does not
// start it again, since that does not help.
func TestSocketGroupThatCannotBe(t *testing.T) {
	daemon := otherDaemon(t, "--socket-group", "0")
	said, err := daemon.CombinedOutput()
	if code := daemon.ProcessState.ExitCode(); code != exitUsage || !strings.Contains(string(said), "the agent does not run with the group 0") || !strings.Contains(string(said), "[Service] Group=0") {
		t.Errorf("%v: %s", err, said)
	}
}
