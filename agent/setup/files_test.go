package setup_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/setup"
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
