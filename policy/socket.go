package policy

import (
	"regexp"
	"slices"
	"strings"
)

// sockets are the sockets by which a container controls the engine.
func (j *judgement) sockets() []string {
	all := []string{"/run/docker.sock", "/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock"}
	if own, ok := strings.CutPrefix(j.Engine, "unix://"); ok {
		all = append(all, plain(own))
	}
	return all
}

// processLink matches the links of a process in /proc, which lead to any file of the node.
var processLink = regexp.MustCompile(`^/proc/(?:.*/)?(?:root|cwd|exe|fd|map_files)(?:/|$)`)

// isSocket reports whether a mount of a path has the engine's socket: the socket itself, a
// folder above it, a path that leads anywhere, or one that is not known.
func (j *judgement) isSocket(source string) bool {
	if templated(source) || processLink.MatchString(source) || strings.Contains(source, "docker_engine") { // the last is a pipe of Windows
		return true
	}
	return slices.ContainsFunc(j.sockets(), func(socket string) bool { return within(socket, source) || within(alias(socket), source) })
}
