package sdnotify_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/sdnotify"
)

// listen gives a socket as systemd has it.
func listen(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestTell(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "n"), "@coin-agent-test-" + strconv.Itoa(os.Getpid())} {
		systemd := listen(t, name)
		t.Setenv("NOTIFY_SOCKET", name)
		t.Setenv("WATCHDOG_USEC", "2000000")
		t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
		service, err := sdnotify.Take()
		if err != nil || service.Every() != 2*time.Second {
			t.Errorf("every %s, %v", service.Every(), err)
		}
		if left := os.Getenv("NOTIFY_SOCKET") + os.Getenv("WATCHDOG_USEC"); left != "" {
			t.Errorf("the programs that the daemon starts inherit %q", left)
		}
		if err := service.Tell(sdnotify.Ready, "STATUS=a b"); err != nil {
			t.Fatal(err)
		}
		said := make([]byte, 100)
		if n, err := systemd.Read(said); err != nil || string(said[:n]) != "READY=1\nSTATUS=a b" {
			t.Errorf("systemd heard %q, %v", said[:n], err)
		}
	}
}

func TestWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "2000000")
	t.Setenv("WATCHDOG_PID", "1") // of the process that started this one
	service, err := sdnotify.Take()
	if err != nil || service.Every() != 0 || service.Tell(sdnotify.Ready) != nil {
		t.Errorf("%+v, %v", service, err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if service, err = sdnotify.Take(); err != nil || service.Tell(sdnotify.Ready) == nil {
		t.Errorf("a socket that does not exist: %v", err)
	}
}
