package setup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/setup"
	"coin.internal/coin-agent/internal/fault"
)

// TestReplaceKeepsEach replaces a file again and again: each one before is kept.
func TestReplaceKeepsEach(t *testing.T) {
	dir := t.TempDir()
	var kept []string
	for _, content := range []string{"1", "2", "3", "4"} {
		old, err := setup.Replace(filepath.Join(dir, "agent.yml"), []byte(content), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, filepath.Base(old))
	}
	if diff := cmp.Diff([]string{".", "agent.yml.old", "agent.yml.old.2", "agent.yml.old.3"}, kept); diff != "" {
		t.Error(diff)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[file.Name()] = string(data)
	}
	if diff := cmp.Diff(map[string]string{"agent.yml": "4", "agent.yml.old": "1", "agent.yml.old.2": "2", "agent.yml.old.3": "3"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestWriteBelowAFile demands a hint that helps: another user cannot make a folder below a file either.
func TestWriteBelowAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if _, err := setup.Write(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := setup.Write(filepath.Join(file, "below", "config.yml"), nil, 0o644); err == nil || !strings.Contains(fault.Hint(err), "name a path below a folder") {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
}
