package doctor

import (
	"context"

	"coin.internal/coin-agent/internal/plural"
)

// checkSocket checks that the group of the control socket and the operators can use it.
func (d *doctor) checkSocket(context.Context) (string, error) {
	set := d.on.Settings
	if set.SocketGroup == "" {
		return "for root and the agent's user", nil
	}
	return "for the group " + set.SocketGroup + ", with " + plural.Count(len(set.Operators), "operator"), set.ControlSocket().Check()
}
