// Package loopback tells this machine from others, for what may be sent without TLS to this
// machine only: from the host of an address it makes a yes or no.
package loopback

import "net"

// Is reports whether a host, without a port, is this machine.
func Is(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }
