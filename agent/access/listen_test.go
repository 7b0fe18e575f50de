package access_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/internal/waitfor"
)

// served serves a guard as the agent does, and gives its address.
func served(t *testing.T) string {
	t.Helper()
	_, handler := guarded(t, access.Options{Listen: "127.0.0.1:9181"})
	listener, err := access.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- control.Serve(ctx, listener, handler) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// dial connects from an address of this machine.
func dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A refused request whose body does not come ends its connection soon.
func TestRefusedConnectionsEnd(t *testing.T) {
	at := served(t)
	const own = "Host: 127.0.0.1\r\n"
	for name, test := range map[string]struct{ header, want string }{
		"another host": {"Host: evil.example\r\n", " 421 "},
		"another site": {own + "Origin: http://evil.example\r\n", " 403 "},
		"no token":     {own, " 401 "},
		"wrong token":  {own + "Authorization: Bearer wrong\r\n", " 401 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, rest := range []string{"Content-Length: 10\r\n\r\n", "\r\n"} {
				conn := dial(t, "127.0.0.1", at)
				if _, err := fmt.Fprintf(conn, "POST /v1/status HTTP/1.1\r\n%s%s", test.header, rest); err != nil {
					t.Fatal(err)
				}
				_ = conn.SetReadDeadline(time.Now().Add(8 * time.Second)) // less than a body may take
				if got, err := io.ReadAll(conn); err != nil || !strings.Contains(string(got), test.want) {
					t.Errorf("after %q: %v, %s", rest, err, got)
				}
			}
		})
	}
}

// One address cannot take the places of all others.
func TestConnectionsOfOneAddress(t *testing.T) {
	at := served(t)
	answers := func(conn net.Conn) error {
		_, err := fmt.Fprintf(conn, "GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n", readToken)
		if err != nil {
			return err
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		_, err = conn.Read(make([]byte, 1))
		return err
	}
	var open []net.Conn
	for range 64 {
		open = append(open, dial(t, "127.0.0.1", at))
	}
	if err := answers(open[63]); err != nil {
		t.Fatalf("a connection within the limit: %v", err)
	}
	if err := answers(dial(t, "127.0.0.1", at)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection too many is not ended: %v", err)
	}
	if err := answers(dial(t, "127.0.0.2", at)); err != nil {
		t.Errorf("another address gets no answer: %v", err)
	}
	_ = open[0].Close()
	waitfor.NoError(t, 5*time.Minute, func() error { return answers(dial(t, "127.0.0.1", at)) })
}
