package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"coin.internal/coin-agent/internal/sopstest"
)

// TestImportDryRun demands exit code 3 of a dry run that finds something to write, and 0 where the
// repository has all of it.
func TestImportDryRun(t *testing.T) {
	t.Parallel()
	dir, repo := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		filepath.Join(repo, ".sops.yaml"):        "creation_rules: [{age: " + sopstest.NewKey(t).Recipient + "}]\n",
		filepath.Join(dir, "docker-compose.yml"): "version: \"3.8\"\nservices: {web: {image: \"app:$TAG\"}}\n",
		filepath.Join(dir, "node.env"):           "export TAG=1\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	importing := func(want int, flags ...string) {
		t.Helper()
		args := append([]string{"import", dir, "--config", "/dev/null", "--repo", repo, "--environment", "sandbox", "--node", "node3", "-w", "s"}, flags...)
		if code := run(t.Context(), args, io.Discard, t.Output()); code != want {
			t.Errorf("%v: exit %d, want %d", flags, code, want)
		}
	}
	importing(exitDifferent, "--dry-run")
	importing(exitDifferent, "--dry-run", "-o", "json")
	importing(exitDone)
	importing(exitDone, "--dry-run")
}
