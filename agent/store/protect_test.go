package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/fault"
)

// A folder that only the agent uses is closed to others; one that holds more is
// not changed, but refused.
func TestStateDirectoryIsPrivate(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // that is what the test is about
		t.Fatal(err)
	}
	for range 2 {
		store, err := store.Open(dir, "sandbox/node3", nil)
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "state.db"): 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, "state.db"), 0o644); err != nil { //nolint:gosec // the same
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the same
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(dir, "sandbox/node3", nil)
	if err == nil || !strings.Contains(err.Error(), "mode 0755") || !strings.Contains(fault.Hint(err), "chmod 700 "+dir) {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
}
