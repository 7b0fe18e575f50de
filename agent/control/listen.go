package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// Listen opens the control socket: mode 0600, or 0660 for a group, in a folder of mode 0700, or
// 0711, when the folder has to be made, and which other users cannot change. The socket of a running agent is not replaced; one that a killed agent
// left is.
func (s Socket) Listen() (net.Listener, error) {
	path, folder := s.Path, os.FileMode(0o700)
	if s.Group != "" {
		folder = 0o711
	}
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		return nil, fault.New(fault.Place{}, "stop the other agent, or give this one its own socket", "an agent already answers on %s", path)
	}
	if err := makeFolder(filepath.Dir(path), folder); err != nil {
		return nil, fmt.Errorf("make folder of the control socket: %w", err)
	}
	if err := closedFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil, fault.New(fault.Place{}, "choose another path for the socket", "open control socket: %s exists and is not a socket", path)
	}
	// It gets its name once it is closed to others, and replaces a stale one by that.
	unnamed := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.Remove(unnamed); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove stale control socket: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: unnamed, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := s.publish(unnamed); err != nil {
		return nil, errors.Join(fmt.Errorf("protect control socket: %w", err), listener.Close())
	}
	listener.SetUnlinkOnClose(false)
	return &namedListener{UnixListener: listener, path: path}, nil
}

// makeFolder makes a folder with a mode, whatever the umask is. One that exists keeps its own.
func makeFolder(path string, mode os.FileMode) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(path, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// publish opens a socket to its group, and gives it its name.
func (s Socket) publish(unnamed string) error {
	if err := s.admit(unnamed); err != nil {
		return err
	}
	return os.Rename(unnamed, s.Path)
}

// A namedListener removes its socket's file when it is closed: net would remove the name
// that the socket was bound to.
type namedListener struct {
	*net.UnixListener
	path string
}

func (l *namedListener) Close() error {
	err := l.UnixListener.Close()
	if removed := os.Remove(l.path); err == nil && !errors.Is(removed, os.ErrNotExist) {
		err = removed
	}
	return err
}

// closeWithin bounds how long requests may take to end after the context has ended. The agent itself
// has four seconds to end.
const closeWithin = 2 * time.Second

// answerTime bounds how long an answer takes. Streams, and handlers that wait, set their own
// limits when they write.
const answerTime = 2 * time.Minute

// Serve runs an HTTP server until ctx ends, which ends the contexts of its requests.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: answerTime, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ConnContext: WithPeer,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	closed := make(chan struct{})
	stopped := context.AfterFunc(ctx, func() {
		defer close(closed)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(listener)
	if !stopped() {
		<-closed
	}
	_ = server.Close()
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
