package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/waitfor"
)

// pane is a terminal of tmux.
type pane struct {
	t             *testing.T
	socket        string
	width, height int
}

func newPane(t *testing.T, dir string, width, height int) *pane {
	t.Helper()
	p := &pane{t, filepath.Join(dir, fmt.Sprintf("tmux%d", width)), width, height}
	p.tmux("new-session", "-d", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height), "exec cat")
	p.tmux("set-option", "-g", "status", "off")
	p.resize(width, height)
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", p.socket, "kill-server").Run() })
	return p
}

func (p *pane) resize(width, height int) {
	p.tmux("resize-window", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height))
}

func (p *pane) tmux(args ...string) string {
	p.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", p.socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("tmux %s: %v\n%s", args, err, out)
	}
	return string(out)
}

// run runs a shell command in the pane, in place of the one before.
func (p *pane) run(command string) { p.tmux("respawn-pane", "-k", command) }

// text is what a user sees.
func (p *pane) text() string { return strings.TrimRight(p.tmux("capture-pane", "-p"), "\n") + "\n" }

// shows waits until the terminal shows texts and no longer changes, and gives all that it shows.
func (p *pane) shows(texts ...string) (all string) {
	p.t.Helper()
	waitfor.NoError(p.t, patience, func() error {
		before := all
		if all = p.text(); all != before {
			return fmt.Errorf("it changes:\n%s", all)
		}
		flat := strings.Join(strings.Fields(all), " ") // lines may be wrapped anywhere
		for _, text := range texts {
			if !strings.Contains(flat, text) {
				return fmt.Errorf("%dx%d lacks %q:\n%s", p.width, p.height, text, all)
			}
		}
		return nil
	})
	return all
}

// narrator answers as an agent in a state does.
type narrator struct {
	socket string
	state  atomic.Int64 // an index of terminalStates
	server *http.Server
}

func (n *narrator) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("unix", n.socket)
	if err != nil {
		t.Fatal(err)
	}
	n.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(terminalStatus(terminalStates[n.state.Load()], time.Now()))
	})}
	go func() { _ = n.server.Serve(listener) }()
	t.Cleanup(func() { _ = n.server.Close() })
}

// stored writes the state file that an agent left behind days ago, so that the ages in it stay the
// same however long the test takes.
func stored(t *testing.T, dir string) {
	t.Helper()
	file, err := store.Open(dir, "production/node3", nil)
	if err != nil {
		t.Fatal(err)
	}
	sync := *terminalStatus(terminalStates[0], time.Now().Add(-60*time.Hour)).Sync
	sync.ID, sync.Stack, sync.Good, sync.Actor, sync.Wrote = 0, "coin", true, audit.Agent(), true
	good := &record.GoodState{Commit: sync.Commit, Release: "1.5", At: sync.Finished, StackName: "coin"}
	if err := errors.Join(file.Stack(record.OnlyStack).SaveOutcome(&sync, good), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestTerminals holds what a user sees of each state, on terminals of three sizes, to
// testdata/terminal: what happens, why, and what to do next is on each of them.
func TestTerminals(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "term") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	agent := fmt.Sprintf("COIN_AGENT_ENVIRONMENT=production COIN_AGENT_NODE=node3 COIN_AGENT_SOCKET=%[1]s/s COIN_AGENT_STATE_DIR=%[1]s/state %[2]s ", dir, binary)
	stored(t, filepath.Join(dir, "state"))
	if err := os.Mkdir(filepath.Join(dir, "once"), 0o700); err != nil {
		t.Fatal(err)
	}
	narrator := &narrator{socket: filepath.Join(dir, "s")}
	narrator.start(t)
	sizes := [][2]int{{80, 24}, {60, 20}, {200, 60}}
	var once, watching []*pane
	for _, size := range sizes {
		watch := newPane(t, dir, size[0], size[1])
		watch.run(agent + "status --watch; echo exit $?; exec cat")
		once, watching = append(once, newPane(t, filepath.Join(dir, "once"), size[0], size[1])), append(watching, watch)
	}
	for i, state := range terminalStates {
		narrator.state.Store(int64(i))
		if state.change == nil {
			_ = narrator.server.Close()
		}
		for at, size := range sizes {
			name := fmt.Sprintf("%s-%dx%d", state.name, size[0], size[1])
			once[at].run("clear; " + agent + "status 2>/dev/null; printf '\\033]2;%s\\007' done-" + name + "; exec cat")
			waitfor.NoError(t, patience, func() error {
				if title := once[at].tmux("display-message", "-p", "#{pane_title}"); !strings.Contains(title, "done-"+name) {
					return fmt.Errorf("%s: %s", title, once[at].text())
				}
				return nil
			})
			text := once[at].shows(state.what, state.why, state.next)
			checkGolden(t, "testdata/terminal/"+name+".status.txt", text)
			checkGolden(t, "testdata/terminal/"+name+".watch.txt", watching[at].shows(state.what, state.why, state.next))
		}
	}
	watch := watching[0]
	watch.resize(60, 20)
	watch.width, watch.height = 60, 20
	small := readFile(t, "testdata/terminal/down-60x20.watch.txt")
	waitfor.NoError(t, patience, func() error {
		if text := watch.text(); text != small {
			return fmt.Errorf("after a resize:\n%s", text)
		}
		return nil
	})
	for at, key := range []string{"q", "C-c", "C-d"} {
		watching[at].tmux("send-keys", key)
		watching[at].isGivenBack(key)
	}
	pid := filepath.Join(dir, "pid")
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGQUIT} {
		watch.run(fmt.Sprintf("sh -c 'echo $$ >%s; exec env %sstatus --watch'; echo exit $?; exec cat", pid, agent))
		watch.shows("q quits")
		number, err := strconv.Atoi(strings.TrimSpace(readFile(t, pid)))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(number, signal); err != nil {
			t.Fatal(err)
		}
		watch.isGivenBack(signal.String())
	}
}

// isGivenBack waits for the end of a watch, and looks at the terminal then.
func (p *pane) isGivenBack(after string) {
	p.t.Helper()
	p.shows("exit 0")
	if flags := p.tmux("display-message", "-p", "#{cursor_flag} #{alternate_on}"); flags != "1 0\n" {
		p.t.Errorf("after %s: cursor and alternate screen are %s", after, flags)
	}
}
