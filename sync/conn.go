package sync

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// quietConn ends a connection that has been silent for too long. Deadlines of
// contexts do not reach into every read of a protocol; this does.
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

// dialer gives connections that end when they are silent for limit.
func dialer(limit time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{Timeout: limit}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return quietConn{conn, limit}, nil
	}
}

// readPrivate reads a credential that its owner alone may read.
func readPrivate(file, what string) (string, error) {
	refuse := func(hint, format string, args ...any) error {
		return &fault.Error{Message: fmt.Sprintf(format, args...), Hint: hint, Err: ErrAuth}
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", refuse("put the "+what+" there, or name another file", "read %s: %v", what, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", refuse("chmod 600 "+file+" (a Swarm secret: mode 0400)", "the %s %s can be read by others than its owner (mode %04o)", what, file, mode)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", refuse("let the agent's user own it", "read %s: %v", what, err)
	}
	if strings.TrimSpace(string(content)) == "" {
		return "", refuse("put the "+what+" there", "the %s %s is empty", what, file)
	}
	return string(content), nil
}

func readToken(file string) (string, error) {
	content, err := readPrivate(file, "token file")
	return strings.TrimSpace(content), err
}
