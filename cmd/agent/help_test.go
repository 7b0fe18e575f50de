package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/terminal"
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

// TestHelpFits wants the help of each command to fit a terminal. Examples stay whole, so that a user
// can copy them, and so do words that are longer than a line.
func TestHelpFits(t *testing.T) {
	t.Parallel()
	for _, width := range []int{60, 80} {
		var walk func(cmd *cobra.Command)
		walk = func(cmd *cobra.Command) {
			for _, one := range cmd.Commands() {
				walk(one)
			}
			showSettings(cmd)
			for line := range strings.SplitSeq(filled(cmd.Long, width)+"\n"+usageText(cmd, width), "\n") {
				if terminal.Width(line) > width && !strings.Contains(cmd.Example, line) && strings.Contains(strings.TrimSpace(line), " ") && !strings.Contains(cmd.Long, line) {
					t.Errorf("%s --help has a line of more than %d columns: %s", cmd.CommandPath(), width, line)
				}
			}
		}
		walk(newApp(&bytes.Buffer{}, &bytes.Buffer{}).root())
	}
	long := filled("one two three four five\nsix\n\n  kept as it is, whatever its length\n\nseven", 10)
	if want := "one two\nthree four\nfive six\n\n  kept as it is, whatever its length\n\nseven"; long != want {
		t.Errorf("got  %q\nwant %q", long, want)
	}
}

// TestListsFit wants the last texts of a list's rows whole on a narrow terminal, below their rows,
// and in their column elsewhere. Times are never cut.
func TestListsFit(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 30, 10, 59, 42, 0, time.UTC)
	syncs := []record.Sync{{
		ID: 18, Commit: "e6a7c408c9d1", Ref: "master", Release: "2025-12-15-11eeef9e99", Trigger: "commit", State: record.Failed, Stage: record.StageVerify,
		Author: "Ada Engineer <ada@coin.example>", Subject: "Renders faster", Started: began, Finished: began.Add(12 * time.Second),
		Error: "service sbxapp3_pdf-renderer: task: non-zero exit (3); Swarm paused the update (on vm)",
	}}
	const why = "verify: service sbxapp3_pdf-renderer: task: non-zero exit (3); Swarm paused the update (on vm)"
	for _, test := range []struct {
		width   int
		columns []string
		whole   bool
	}{
		{60, []string{"ID", "STARTED", "COMMIT", "RELEASE", "TOOK", "STATE"}, true},
		{80, []string{"ID", "STARTED", "COMMIT", "TOOK", "STATE", "WHAT"}, false},
		{300, []string{"ID", "STARTED", "COMMIT", "REF", "RELEASE", "TRIGGER", "WAITED", "TOOK", "STATE", "AUTHOR", "SUBJECT", "WHAT"}, true},
	} {
		var text strings.Builder
		if err := printPage(printer{Writer: &text, width: test.width}, historyScreen, syncs); err != nil {
			t.Fatal(err)
		}
		first, rest, _ := strings.Cut(text.String(), "\n")
		if got := strings.Fields(first); !slices.Equal(got, test.columns) {
			t.Errorf("%d columns: %v", test.width, got)
		}
		if !strings.Contains(rest, "2026-11-30 10:59") || strings.Contains(strings.Join(strings.Fields(rest), " "), why) != test.whole {
			t.Errorf("%d columns: %s", test.width, rest)
		}
		for line := range strings.SplitSeq(text.String(), "\n") {
			if terminal.Width(line) > test.width {
				t.Errorf("%d columns: too long: %s", test.width, line)
			}
		}
	}
}
