package control_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
)

// The kernel says who is at the other end of a socket, whatever the client says.
func TestPeer(t *testing.T) {
	dir, err := os.MkdirTemp("", "peer") //nolint:usetesting // others may not enter the folders of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o755, socket: 0o666} { // so that others can ask
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{
		ConnContext: control.WithPeer,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = json.NewEncoder(w).Encode(control.Peer(r.Context()))
		}),
	}}
	server.Start()
	t.Cleanup(server.Close)

	users := []int{os.Getuid()}
	if os.Getuid() == 0 {
		users = append(users, 65534, 4_000_000) // nobody, and a number without a name
	}
	for _, uid := range users {
		actor := askAs(t, uid, socket)
		name := strconv.Itoa(uid)
		if known, err := user.LookupId(name); err == nil {
			name = known.Username
		}
		name = "local:" + name
		if actor.By != audit.ByUser || actor.UID != strconv.Itoa(uid) || actor.Name != name {
			t.Errorf("%d asks as %+v", uid, actor)
		}
	}
	if actor := control.Peer(t.Context()); actor.By != audit.ByUser || actor.UID != "" {
		t.Errorf("without a socket: %+v", actor)
	}
}

// askAs asks from a thread of another user; it is never given back.
func askAs(t *testing.T, uid int, socket string) audit.Actor {
	t.Helper()
	dialled := make(chan net.Conn, 1)
	go func() {
		defer close(dialled)
		runtime.LockOSThread()
		if uid != os.Getuid() {
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
				t.Errorf("become %d: %v", uid, errno)
				return
			}
		}
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Error(err)
			return
		}
		dialled <- conn
	}()
	conn, ok := <-dialled
	if !ok {
		t.FailNow()
	}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get("http://agent/?user=root")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var actor audit.Actor
	if err := json.NewDecoder(response.Body).Decode(&actor); err != nil {
		t.Fatal(err)
	}
	return actor
}
