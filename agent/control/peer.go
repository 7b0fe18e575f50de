package control

import (
	"context"
	"net"
	"syscall"

	"coin.internal/coin-agent/agent/audit"
)

// WithPeer is an http.Server's ConnContext: it notes which user is at the other end of a
// unix socket, as the kernel reports it. Who may open the socket may do everything. It leaves
// other connections as they are.
func WithPeer(ctx context.Context, conn net.Conn) context.Context {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return ctx
	}
	var peer *syscall.Ucred
	if controlErr := raw.Control(func(fd uintptr) {
		peer, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); controlErr != nil || err != nil {
		return ctx
	}
	return WithCaller(ctx, Caller{audit.User(int(peer.Uid), int(peer.Pid)), ScopeOperate})
}
