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
	listener, err := control.Listen(path)
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
	if _, err := control.Listen(path); err == nil || fault.Hint(err) == "" {
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
	second, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(path); err == nil || fault.Hint(err) == "" {
		t.Errorf("a file that is no socket was removed: %v", err)
	}
}
