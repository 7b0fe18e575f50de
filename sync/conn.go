package sync

import (
	"context"
	"net"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/privatefile"
)

// quietConn ends a connection without traffic for limit. The deadline of a context does
// not apply to every read of a protocol.
type quietConn struct {
	net.Conn
	limit time.Duration
}

func (c quietConn) Read(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c quietConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// dialer returns connections that end after limit without traffic.
func dialer(limit time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{Timeout: limit}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return quietConn{conn, limit}, nil
	}
}

func readToken(file string) (string, error) {
	content, err := privatefile.Read(file, "the token file", ErrAuth)
	return strings.TrimSpace(string(content)), err
}
