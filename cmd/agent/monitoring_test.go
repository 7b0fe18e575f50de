package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The monitoring stack is one that the agent itself can keep in sync.
func TestMonitoringStack(t *testing.T) {
	t.Parallel()
	repo := t.TempDir()
	folder := filepath.Join(repo, "environments", "ops", "nodes", "monitor")
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(folder, os.DirFS("../../packaging/monitoring")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(folder, "monitoring.stack.yml"), filepath.Join(folder, "docker-compose.yml")); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		filepath.Join(folder, "ca.crt"):                          "certificate",
		filepath.Join(folder, "node.env"):                        "TAG=1\n",
		filepath.Join(repo, "environments", "ops", "config.yml"): "environment: {name: ops, type: non-production}\nnodes: [{name: monitor, context: c, stack: monitoring}]\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"check", "--config", "/dev/null", "--environment", "ops", "--node", "monitor", repo}, &out, &errs)
	if code != 0 || !strings.Contains(out.String(), "5 services") || !strings.Contains(out.String(), "0 with problems") {
		t.Errorf("%d: %s%s", code, out.String(), errs.String())
	}
}
