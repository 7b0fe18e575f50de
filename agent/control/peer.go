package control

import (
	"context"
	"net"
	"os"
	"syscall"

	"coin.internal/coin-agent/agent/audit"
)

// WithPeer is an http.Server's ConnContext: it notes which user is at the other end of a
// unix socket, as the kernel reports it. Root and the agent's user may do everything, other users
// may ask; Socket.Handler lets operators do more. It leaves other connections as they are.
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
	scope := ScopeRead
	if peer.Uid == 0 || int(peer.Uid) == os.Geteuid() {
		scope = ScopeOperate
	}
	return WithCaller(ctx, Caller{audit.User(int(peer.Uid), int(peer.Pid)), scope})
}
