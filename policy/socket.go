package policy

import (
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/hostpath"
)

// sockets are the sockets by which a container controls the engine.
func (j *judgement) sockets() []string {
	all := []string{"/run/docker.sock", "/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock"}
	if own, ok := strings.CutPrefix(j.of.Engine, "unix://"); ok {
		all = append(all, hostpath.Plain(own))
	}
	return all
}

// isSocket reports whether a mount of a path has the engine's socket: the socket itself, a
// folder above it, a path that leads anywhere, or one that is not known.
func (j *judgement) isSocket(source string) bool {
	if hostpath.Templated(source) || hostpath.ProcessLink(source) || strings.Contains(source, "docker_engine") { // the last is a pipe of Windows
		return true
	}
	return slices.ContainsFunc(j.sockets(), func(socket string) bool {
		return hostpath.Within(socket, source) || hostpath.Within(hostpath.Alias(socket), source)
	})
}
