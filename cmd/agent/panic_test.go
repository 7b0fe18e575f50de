package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"coin.internal/coin-agent/internal/waitfor"
)

// panicVariable makes this test binary panic instead of running tests.
const panicVariable = "AGENT_TEST_PANIC"

// panicAsMain panics in a goroutine, after what main does first.
func panicAsMain() {
	endPanicsBySignal()
	go func() { panic("planned") }()
	select {}
}

// dumping gives a command that runs in an empty folder and may write core files of any
// size.
func dumping(t *testing.T, output *bytes.Buffer, program string, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command("sh", append([]string{"-c", `ulimit -c "$(ulimit -H -c)"; exec "$0" "$@"`, program}, args...)...)
	command.Dir = t.TempDir()
	command.Stdout, command.Stderr = output, output
	return command
}

// checkAborted checks that a command has ended by SIGABRT, without a core file.
func checkAborted(t *testing.T, command *exec.Cmd, err error, output string) {
	t.Helper()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("got %v, want a signal; output:\n%s", err, output)
	}
	status := exit.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGABRT || status.CoreDump() {
		t.Errorf("exit code %d, signal %v, core dump %v; output:\n%s", status.ExitStatus(), status.Signal(), status.CoreDump(), output)
	}
	files, err := os.ReadDir(command.Dir)
	if err != nil || len(files) > 0 {
		t.Errorf("the command has left files: %v, %v", files, err)
	}
}

// A panic must not look like wrong usage, after which systemd does not restart the agent.
func TestPanicEndsBySignal(t *testing.T) {
	t.Parallel()
	var output bytes.Buffer
	command := dumping(t, &output, os.Args[0])
	command.Env = append(os.Environ(), panicVariable+"=1")
	checkAborted(t, command, command.Run(), output.String())
	if !strings.Contains(output.String(), "panic: planned") {
		t.Errorf("the output does not contain the panic:\n%s", output.String())
	}
}

// SIGQUIT ends the agent in the way of a panic: the runtime's own exit code for it is 2, too.
func TestDaemonQuitsBySignal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket := filepath.Join(dir, "run", "agent.sock")
	var output bytes.Buffer
	command := dumping(t, &output, binary, "run", "--config", "/dev/null", "--environment", "sandbox", "--node", "node3", "--repository", dir+"/none",
		"--engine", "unix://"+dir+"/none.sock", "--state-dir", dir+"/state", "--socket", socket, "--listen", "")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	waitfor.NoError(t, patience, func() error {
		_, err := os.Stat(socket)
		return err
	})
	if err := command.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	checkAborted(t, command, command.Wait(), output.String())
}
