// Package paritytest holds the renderer against the real `docker stack deploy`:
// both get the same files and variables, and what the command sends to the
// engine must be what compose.Render makes, field by field. docs/parity.md lists
// the intended differences.
package paritytest

import (
	"io"
	"os"
	"testing"

	"github.com/sirupsen/logrus"

	"coin.internal/coin-agent/deploy/swarmtest"
)

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard) // libraries of the renderer log there
	os.Exit(swarmtest.Main(m))
}
