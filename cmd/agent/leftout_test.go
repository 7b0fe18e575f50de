package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/setup"
)

// TestLeftOutSettings has a settings file that is wrong. Commands that work with a folder leave it
// out, unless the user named it or more is wrong than the file.
func TestLeftOutSettings(t *testing.T) {
	dir := t.TempDir()
	folder, file := filepath.Join(dir, "gitops"), filepath.Join(dir, "agent.yml")
	if _, err := setup.Skeleton(folder, "lab", "lab1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("nonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const warning = "warning: the settings are not used"
	for name, test := range map[string]struct {
		args   []string
		code   int
		warned bool
	}{
		"a folder":             {[]string{"check", folder}, exitDone, true},
		"named":                {[]string{"check", folder, "--config", file}, exitUsage, false},
		"a wrong flag":         {[]string{"check", folder, "--interval", "soon"}, exitUsage, false},
		"needs the settings":   {[]string{"status"}, exitUsage, false},
		"a folder in its flag": {[]string{"render", "--repo", folder, "--environment", "lab", "--node", "lab1"}, exitDone, true},
	} {
		t.Run(name, func(t *testing.T) {
			var shown, said bytes.Buffer
			a := newApp(&shown, &said)
			a.standard = file
			code := a.run(t.Context(), test.args)
			if code != test.code || strings.Contains(said.String(), warning) != test.warned || !strings.Contains(said.String(), `unknown setting "nonsense"`) {
				t.Errorf("exit %d:\n%s", code, said.String())
			}
		})
	}
}
