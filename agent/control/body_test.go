package control_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
)

// pipes is a listener whose connections are in memory, so that time can pass in a test.
type pipes struct {
	conns  chan net.Conn
	closed context.Context //nolint:containedctx // it ends when the listener is closed
	close  context.CancelFunc
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed.Done():
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error { p.close(); return nil }
func (pipes) Addr() net.Addr { return &net.UnixAddr{} }

// TestBodyInTime has readers that announce a body and send none. They are refused after ten seconds, and
// until then take no turn of those who read large answers. A body that comes late is read.
func TestBodyInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, wait := server(&double{}).Handler(t.Context())
		ctx, stop := context.WithCancel(t.Context())
		listener, ended := pipes{conns: make(chan net.Conn)}, make(chan error, 1)
		listener.closed, listener.close = context.WithCancel(t.Context())
		reader := control.Caller{Actor: audit.Actor{By: audit.ByUser, Name: "local:ada"}, Scope: control.ScopeRead}
		go func() { ended <- control.Serve(ctx, listener, as(reader, control.Socket{}.Handler(handler))) }()
		connect := func(head string) net.Conn {
			ours, theirs := net.Pipe()
			listener.conns <- theirs
			if _, err := fmt.Fprintf(ours, "GET /v1/plan HTTP/1.1\r\nHost: agent\r\n%s\r\n", head); err != nil {
				t.Fatal(err)
			}
			return ours
		}
		answered := func(conn net.Conn, status int, after time.Duration) {
			t.Helper()
			began := time.Now()
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); response.StatusCode != status || took != after {
				t.Errorf("%d after %s, want %d after %s", response.StatusCode, took, status, after)
			}
			_, _ = response.Body.Close(), conn.Close()
		}
		silent := []net.Conn{connect("Content-Length: 100\r\n"), connect("Content-Length: 100\r\n"), connect("Content-Length: 2\r\n")}
		synctest.Wait()
		answered(connect(""), http.StatusOK, 0)
		time.Sleep(9 * time.Second)
		if _, err := silent[2].Write([]byte("{}")); err != nil {
			t.Error(err)
		}
		answered(silent[2], http.StatusOK, 0)
		answered(silent[0], http.StatusBadRequest, time.Second)
		answered(silent[1], http.StatusBadRequest, 0)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		wait()
	})
}
