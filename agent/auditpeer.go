package agent

import (
	"context"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"coin.internal/coin-agent/agent/audit"
)

// peerKey is what a connection's context has its actor by.
type peerKey struct{}

// withPeer notes who is at the other end of a unix socket, as the kernel tells.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
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
	return context.WithValue(ctx, peerKey{}, userOf(int(peer.Uid), int(peer.Pid)))
}

// peer is who asked over the control socket.
func peer(ctx context.Context) audit.Actor {
	if actor, ok := ctx.Value(peerKey{}).(audit.Actor); ok {
		return actor
	}
	return audit.Actor{By: audit.ByUser, Name: "unknown"}
}

// self is the user of this process.
func self() audit.Actor { return userOf(os.Getuid(), os.Getpid()) }

// userOf names a user, by number where nobody knows the name, and who had logged
// in at first, where the kernel keeps that: behind sudo everybody is root.
func userOf(uid, pid int) audit.Actor {
	actor := audit.Actor{By: audit.ByUser, UID: strconv.Itoa(uid)}
	actor.Name = userName(actor.UID)
	if text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/loginuid"); err == nil {
		actor.Login = loginOf(string(text), actor.UID)
	}
	return actor
}

// noLogin is what the kernel gives for a process that nobody has logged in for.
const noLogin = "4294967295"

// loginOf names who had logged in, unless that is the user or nobody.
func loginOf(text, uid string) string {
	login := strings.TrimSpace(text)
	if login == noLogin || login == uid || login == "" {
		return ""
	}
	return userName(login)
}

func userName(uid string) string {
	if found, err := user.LookupId(uid); err == nil {
		return found.Username
	}
	return uid
}
