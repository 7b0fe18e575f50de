package agent

import (
	"context"
	"net"

	"coin.internal/coin-agent/agent/audit"
)

// WithPeer is what the control socket's server notes of a connection.
func WithPeer(ctx context.Context, conn net.Conn) context.Context { return withPeer(ctx, conn) }

// Peer is whom a request's context names.
func Peer(ctx context.Context) audit.Actor { return peer(ctx) }

// LoginOf is who had logged in, by what the kernel keeps of a process.
func LoginOf(text, uid string) string { return loginOf(text, uid) }
