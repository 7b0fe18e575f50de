package control_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/internal/fault"
)

// dialAs connects from a thread of another user and group; it is never given back.
func dialAs(uid, gid int, socket string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		same := ^uintptr(0)
		for _, call := range [][4]uintptr{{syscall.SYS_SETGROUPS, 0, 0, 0}, {syscall.SYS_SETRESGID, same, uintptr(gid), same}, {syscall.SYS_SETRESUID, same, uintptr(uid), same}} {
			if _, _, errno := syscall.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				err = errno
				return
			}
		}
		conn, err = net.Dial("unix", socket)
	}()
	<-done
	return conn, err
}

// Members of socket_group may ask, operators among them may have the agent act, other users
// cannot open the socket. What is refused says which setting allows it.
func TestSocketGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("only the refusals of settings are tested: only root can connect as another user")
		return
	}
	const daemon, nobody = 1, 65534 // users of Debian, each in a group of its number
	for name, test := range map[string]struct {
		set      control.Socket
		uid, gid int
		reads    int // the status of a request that asks; 0: the socket cannot be opened
		acts     int
	}{
		"member":            {control.Socket{Group: "nogroup"}, nobody, nobody, 200, 403},
		"operator":          {control.Socket{Group: "nogroup", Operators: []string{"nobody"}}, nobody, nobody, 200, 200},
		"operator's number": {control.Socket{Group: "65534", Operators: []string{"65534"}}, nobody, nobody, 200, 200},
		"another operator":  {control.Socket{Group: "nogroup", Operators: []string{"root"}}, nobody, nobody, 200, 403},
		"not in the group":  {control.Socket{Group: "nogroup"}, daemon, daemon, 0, 0},
		"no group":          {control.Socket{}, nobody, nobody, 0, 0},
		"root":              {control.Socket{Group: "nogroup"}, 0, 0, 200, 200},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "grp") //nolint:usetesting // others may not enter the folders of t.TempDir
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // that is its purpose
				t.Fatal(err)
			}
			test.set.Path = filepath.Join(dir, "run", "s")
			listener, err := test.set.Listen()
			if err != nil {
				t.Fatal(err)
			}
			d := &double{}
			handler, _ := server(d).Handler(t.Context())
			ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
			ended := make(chan error, 1)
			go func() { ended <- control.Serve(ctx, listener, test.set.Handler(handler)) }()
			t.Cleanup(func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
			by := dialer{uid: test.uid, gid: test.gid, socket: test.set.Path}
			reads, _ := askSocket(t, by, http.MethodGet, "/v1/status", "")
			acts, said := askSocket(t, by, http.MethodPost, "/v1/pause", `{"reason":"x"}`)
			if reads != test.reads || acts != test.acts {
				t.Errorf("reads %d, acts %d; want %d, %d: %s", reads, acts, test.reads, test.acts, said)
			}
			by.browser = true
			if acts, said := askSocket(t, by, http.MethodPost, "/v1/pause", `{"reason":"x"}`); acts != 0 && acts != http.StatusForbidden {
				t.Errorf("a browser acts: %d %s", acts, said)
			}
			if acts == http.StatusForbidden && (!strings.Contains(said, "`operators`") || !strings.Contains(said, "local:nobody may not do this")) {
				t.Errorf("refused with %s", said)
			}
		})
	}
}

// askSocket sends a request as a user, and gives the status and the body of the answer; 0 if the
// user may not open the socket.
func askSocket(t *testing.T, test dialer, method, path, body string) (status int, said string) {
	t.Helper()
	conn, err := dialAs(test.uid, test.gid, test.socket)
	if errors.Is(err, os.ErrPermission) {
		return 0, ""
	}
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	defer transport.CloseIdleConnections()
	asked, err := http.NewRequestWithContext(t.Context(), method, "http://agent"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	asked.Header.Set("Content-Type", "application/json")
	if test.browser {
		asked.Host = "127.0.0.1"
		asked.Header.Set("Accept-Language", "en")
	}
	answer, err := (&http.Client{Transport: transport}).Do(asked)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// dialer is a user of a socket.
type dialer struct {
	uid, gid int
	socket   string
	browser  bool
}

// A group, an operator or a folder that cannot work is refused before there is a socket.
func TestSocketGroupIsRefused(t *testing.T) {
	closed := t.TempDir() // its parent is closed to others
	for name, test := range map[string]struct {
		set  control.Socket
		says string
	}{
		"no group":    {control.Socket{Path: "/run/none/s", Group: "no-such-group"}, `socket_group: this machine has no group "no-such-group"`},
		"no user":     {control.Socket{Path: "/run/none/s", Group: "0", Operators: []string{"no-such-user"}}, `operators: this machine has no user "no-such-user"`},
		"no member":   {control.Socket{Path: "/run/none/s", Group: "0", Operators: []string{"nobody"}}, "operators: nobody is not in the group 0"},
		"no way":      {control.Socket{Path: filepath.Join(closed, "s"), Group: "65534"}, "the group 65534 cannot reach the socket"},
		"all is well": {control.Socket{Path: "/run/none/s", Group: "65534", Operators: []string{"nobody", "root"}}, ""},
	} {
		err := test.set.Check()
		switch {
		case test.says == "":
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case err == nil || !strings.Contains(err.Error(), test.says) || fault.Hint(err) == "":
			t.Errorf("%s: %v, hint %q", name, err, fault.Hint(err))
		}
	}
	if err := os.Chmod(closed, 0o700); err != nil { //nolint:gosec // a folder
		t.Fatal(err)
	}
	if _, err := (control.Socket{Path: filepath.Join(closed, "s"), Group: "65534"}).Listen(); err == nil {
		t.Error("a socket that its group cannot reach was opened")
	}
	if left, err := os.ReadDir(closed); err != nil || len(left) > 0 {
		t.Errorf("there is %v, %v", left, err)
	}
}
