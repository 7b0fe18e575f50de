package gitlab

import (
	"context"
	"net"
)

// DialThrough replaces the client's way to the network, for tests in a bubble
// of synctest.
func (c *Client) DialThrough(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	c.transport.DialContext = dial
}

// CloseIdle closes the connections that the client keeps.
func (c *Client) CloseIdle() { c.transport.CloseIdleConnections() }
