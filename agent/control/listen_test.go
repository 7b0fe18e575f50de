package control_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/internal/fault"
)

func TestListen(t *testing.T) {
	dir, err := os.MkdirTemp("", "ctl") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "run", "agent.sock")
	listener, err := control.Socket{Path: path}.Listen()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	if _, err := (control.Socket{Path: path}).Listen(); err == nil || fault.Hint(err) == "" {
		t.Errorf("a living agent's socket was taken: %v", err)
	}
	_ = listener.Close()
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("a closed socket leaves %v, %v", left, err)
	}
	// A killed agent leaves its socket behind, with or without its name.
	for _, name := range []string{path, filepath.Join(filepath.Dir(path), ".agent.sock")} {
		killed, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		killed.SetUnlinkOnClose(false)
		_ = killed.Close()
	}
	second, err := control.Socket{Path: path}.Listen()
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (control.Socket{Path: path}).Listen(); err == nil || fault.Hint(err) == "" {
		t.Errorf("a file that is no socket was removed: %v", err)
	}
}

// A folder in which other users can make files, or which belongs to one of them, is refused
// before there is a socket.
func TestListenInOpenFolder(t *testing.T) {
	ways := map[string]func(parent, dir string) error{
		"writable by all":   func(_, dir string) error { return os.Chmod(dir, 0o777) },               //nolint:gosec // that is what the test is about
		"sticky":            func(_, dir string) error { return os.Chmod(dir, 0o777|os.ModeSticky) }, //nolint:gosec // likewise
		"writable by group": func(_, dir string) error { return os.Chmod(dir, 0o770) },               //nolint:gosec // likewise
		"parent":            func(parent, _ string) error { return os.Chmod(parent, 0o777) },         //nolint:gosec // likewise
	}
	if os.Getuid() == 0 { // others cannot give a folder away
		ways["of another user"] = func(_, dir string) error { return os.Chown(dir, 65534, -1) }
		ways["parent of another user"] = func(parent, _ string) error { return os.Chown(parent, 65534, -1) }
	}
	for name, open := range ways {
		parent := t.TempDir()
		dir := filepath.Join(parent, "run")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := open(parent, dir); err != nil {
			t.Fatal(err)
		}
		_, err := control.Socket{Path: filepath.Join(dir, "s")}.Listen()
		if err == nil || fault.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: there is %v", name, left)
		}
	}
}
