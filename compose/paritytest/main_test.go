// Package paritytest compares the renderer with the real `docker stack deploy`. Both get
// the same files and variables. The command must send the specs that compose.Render
// makes, field by field. docs/parity-tests.md lists the intended differences.
package paritytest

import (
	"io"
	"os"
	"testing"

	"github.com/sirupsen/logrus"

	"coin.internal/coin-agent/deploy/swarmtest"
)

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard) // libraries of the renderer log to it
	os.Exit(swarmtest.Main(m))
}
