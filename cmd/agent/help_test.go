package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelpIsShort wants the help of each command to show the settings that it uses, not all. Those
// that can ask another node's agent show how.
func TestHelpIsShort(t *testing.T) {
	t.Parallel()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, one := range cmd.Commands() {
			walk(one)
		}
		path := strings.TrimPrefix(cmd.CommandPath(), "agent ")
		if path == "run" || path == "agent" {
			return
		}
		var out bytes.Buffer
		if code := run(t.Context(), append(strings.Fields(path), "--help"), &out, &out); code != exitDone {
			t.Errorf("%s: exit %d", path, code)
		}
		_, shown, _ := strings.Cut(out.String(), "\nSettings:\n")
		if lines := strings.Count(shown, "\n      --"); lines > 13 {
			t.Errorf("%s --help shows %d settings", path, lines)
		}
		if remote := slices.Contains(remoteCommands, path); remote != strings.Contains(shown, "--host ") {
			t.Errorf("%s --help shows --host: %t", path, !remote)
		}
	}
	walk(newApp(&bytes.Buffer{}, &bytes.Buffer{}).root())
}
