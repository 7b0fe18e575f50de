package control

import (
	"context"
	"net"
	"syscall"

	"coin.internal/coin-agent/agent/audit"
)

// peerKey is the key of the actor in a connection's context.
type peerKey struct{}

// WithPeer is an http.Server's ConnContext: it notes which user is at the other end of a
// unix socket, as the kernel reports it. It leaves other connections as they are.
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
	return context.WithValue(ctx, peerKey{}, audit.User(int(peer.Uid), int(peer.Pid)))
}

// Peer gives the actor of a request.
func Peer(ctx context.Context) audit.Actor {
	if actor, ok := ctx.Value(peerKey{}).(audit.Actor); ok {
		return actor
	}
	return audit.Actor{By: audit.ByUser, Name: audit.LocalName("unknown")}
}
