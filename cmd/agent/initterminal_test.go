package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/internal/waitfor"
)

// pty is a real terminal, and what it shows.
type pty struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	mu     sync.Mutex
	shown  bytes.Buffer
	seen   int // how far the test has read
}

func newPTY(t *testing.T) *pty {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &pty{t: t, master: master, slave: slave}
	t.Cleanup(func() { _ = slave.Close(); _ = master.Close() })
	go func() {
		part := make([]byte, 4096)
		for {
			n, err := master.Read(part)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.shown.Write(part[:n])
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *pty) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

// shows waits for a prompt.
func (s *pty) shows(prompt string) {
	s.t.Helper()
	waitfor.NoError(s.t, patience, func() error {
		text := s.text()[s.seen:]
		at := strings.Index(text, prompt)
		if at < 0 {
			return fmt.Errorf("no %q in %q", prompt, text)
		}
		s.seen += at + len(prompt)
		return nil
	})
}

// types waits for a prompt, and types an answer.
func (s *pty) types(prompt, answer string) {
	s.t.Helper()
	s.shows(prompt)
	if _, err := s.master.WriteString(answer + "\n"); err != nil {
		s.t.Fatal(err)
	}
}

// TestInitOnATerminal answers on a real terminal: what does not work is asked again, tokens are
// not shown, and a setup that was ended continues with the answers so far.
func TestInitOnATerminal(t *testing.T) {
	l := newInitLab(t)
	s := newPTY(t)
	begin := func() *exec.Cmd {
		command := exec.Command(binary, "init", "--config", l.path("agent.yml"), "--engine", "unix://"+l.path("none.sock"))
		command.Stdin, command.Stdout, command.Stderr = s.slave, s.slave, s.slave
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = command.Process.Kill() })
		return command
	}
	first := begin()
	s.types("git repository", l.url+"-wrong")
	s.types("branch to follow", "")
	s.types("file with a token", "")
	s.types("(not shown)", "glpat-mistyped")
	s.types("git repository", l.url+"-wrong") // asked again
	s.types("branch to follow", "")
	s.types("file with a token", "")
	s.types("keep the one before (not shown)", gitToken)
	s.types("git repository", l.url)
	s.types("branch to follow", "")
	s.types("file with a token", "")
	s.types("keep the one before (not shown)", "")
	s.types("environment (sandbox)", "")
	s.types("node (node3, node4)", "node5")
	s.types("node (node3, node4)", "node3")
	s.types("file with the age key", "")
	s.shows("GitLab's address")
	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err == nil {
		t.Error("it was not ended")
	}
	l.read("agent.yml.draft")

	second := begin()
	s.types("GitLab's address", l.gitlab.URL)
	s.types("GitLab project", "coin/coin-gitops")
	s.types("file with the API token", "")
	s.types("(not shown)", gitlabtest.Secret)
	s.types("write this policy", "yes")
	if err := second.Wait(); err != nil {
		t.Errorf("%v:\n%s", err, s.text())
	}
	l.shows(s.text())
	if got := l.settings(); got.GitTokenFile != l.path("git.token") || got.Policy == nil || !got.Observes() {
		t.Errorf("agent.yml:\n%s", l.read("agent.yml"))
	}
	if git, api := l.read("git.token"), l.read("gitlab.token"); git != gitToken+"\n" || api != gitlabtest.Secret+"\n" {
		t.Error("the tokens' files have something else")
	}
}
