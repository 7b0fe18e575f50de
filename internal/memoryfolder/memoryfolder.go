// Package memoryfolder gives tests folders whose files cost no disk. Its input is a test, its output
// a folder in memory where the machine has one, which ends with the test. Tests that write thousands
// of transactions would wait for the disk at each.
package memoryfolder

import (
	"os"
	"testing"
)

// New makes a folder.
func New(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "coin-agent-test-") //nolint:usetesting // a folder in memory
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
