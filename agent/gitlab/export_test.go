package gitlab

import (
	"context"
	"net"
)

// Version requests the version of GitLab.
func (c *Client) Version(ctx context.Context) (string, error) {
	version, err := ask(ctx, c, "read the version", c.api.Version.GetVersion)
	if err != nil {
		return "", err
	}
	return version.Version, nil
}

// DialThrough replaces the client's network for tests with synctest.
func (c *Client) DialThrough(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	c.transport.DialContext = dial
}

// CloseIdle closes the idle connections of the client.
func (c *Client) CloseIdle() { c.transport.CloseIdleConnections() }
