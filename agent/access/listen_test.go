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
	"testing/synctest"
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

// single is a listener with one connection, in memory, so that time can pass in a test.
type single struct {
	conns chan net.Conn
	net.Listener
}

func (s single) Accept() (net.Conn, error) {
	conn, open := <-s.conns
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (s single) Close() error { close(s.conns); return nil }

// A refused request whose body does not come ends its connection soon.
func TestRefusedConnectionsEnd(t *testing.T) {
	const own = "Host: 127.0.0.1\r\n"
	for name, test := range map[string]struct{ header, want string }{
		"another host": {"Host: evil.example\r\n", " 421 "},
		"another site": {own + "Origin: http://evil.example\r\n", " 403 "},
		"no token":     {own, " 401 "},
		"wrong token":  {own + "Authorization: Bearer wrong\r\n", " 401 "},
	} {
		for _, rest := range []string{"Content-Length: 10\r\n\r\n", "\r\n"} {
			t.Run(name+" "+rest, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { refusedEnds(t, test.header+rest, test.want) })
			})
		}
	}
}

func refusedEnds(t *testing.T, header, want string) {
	t.Helper()
	_, handler := guarded(t, access.Options{Listen: "127.0.0.1:9181"})
	ctx, stop := context.WithCancel(t.Context())
	listener, ended := single{conns: make(chan net.Conn)}, make(chan error, 1)
	go func() { ended <- control.Serve(ctx, listener, handler) }()
	ours, theirs := net.Pipe()
	listener.conns <- theirs
	if _, err := fmt.Fprintf(ours, "POST /v1/status HTTP/1.1\r\n%s", header); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	got, err := io.ReadAll(ours)
	if took := time.Since(began); err != nil || !strings.Contains(string(got), want) || took > 2*time.Second { // a body may take 10 s
		t.Errorf("%v after %s, %s", err, took, got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
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
