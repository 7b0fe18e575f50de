package gitlab

import (
	"context"
	"net"
)

// DialThrough replaces the client's network for tests with synctest.
func (c *Client) DialThrough(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	c.transport.DialContext = dial
}

// CloseIdle closes the idle connections of the client.
func (c *Client) CloseIdle() { c.transport.CloseIdleConnections() }
