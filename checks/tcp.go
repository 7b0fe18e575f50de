package checks

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// TCP checks that a port accepts connections.
type TCP struct {
	Address string // host:port
}

func (c *TCP) kind() string         { return "tcp" }
func (c *TCP) target(r *run) string { return r.public(c.Address) }

func (c *TCP) try(ctx context.Context, r *run) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.public(c.Address))
	if err != nil {
		if dial, ok := errors.AsType[*net.OpError](err); ok {
			err = dial.Err
		}
		return fmt.Errorf("got no connection: %w, want a connection", err)
	}
	return connection.Close()
}
