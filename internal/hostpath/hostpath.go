// Package hostpath compares paths of a node by their text: what grants say of a path and what
// the policy refuses rest on the same reading. It reads no file system, so links on the node
// are not known, apart from /var/run, which is a link to /run on each node.
package hostpath

import (
	"path"
	"strings"

	"coin.internal/coin-agent/internal/lazyregexp"
)

// Within reports whether a path is a folder or is below it. Both are in their plain form.
func Within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, strings.TrimSuffix(folder, "/")+"/")
}

// Templated reports whether Swarm replaces parts of a text on the node: what it becomes is not
// known before.
func Templated(text string) bool { return strings.Contains(text, "{{") }

// Plain gives a path in the form in which paths are compared: without ., .. and double
// slashes, and below /run instead of /var/run. A templated path stays as it is.
func Plain(name string) string {
	if Templated(name) {
		return name
	}
	name = path.Clean(name)
	if Within(name, "/var/run") {
		name = strings.TrimPrefix(name, "/var")
	}
	return name
}

// Alias gives the other name of a path in /run.
func Alias(name string) string {
	if Within(name, "/run") {
		return "/var" + name
	}
	return name
}

// Twisted reports whether a path is written with ., .. or double slashes. The kernel follows a
// link before it goes up, so such a path may lead elsewhere than its plain form.
func Twisted(name string) bool {
	clean := path.Clean(name)
	return !Templated(name) && name != clean && name != clean+"/"
}

// processLink matches the links of a process in /proc.
var processLink = lazyregexp.New(`^/proc/(?:.*/)?(?:root|cwd|exe|fd|map_files)(?:/|$)`)

// ProcessLink reports whether a path is one of the links of a process, which lead to any file
// of the node.
func ProcessLink(name string) bool { return processLink().MatchString(name) }
