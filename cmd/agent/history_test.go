package main

import (
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
)

// TestHistoryOfStacks lists syncs with their stacks, on a node with several only.
func TestHistoryOfStacks(t *testing.T) {
	listed := func(syncs ...record.Sync) (lines [][]string) {
		t.Helper()
		var out strings.Builder
		if err := printScreen(&out, "text", historyScreen, syncs); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			lines = append(lines, strings.Fields(line))
		}
		return lines
	}
	two := listed(record.Sync{ID: 2, Key: "platform", Commit: "b"}, record.Sync{ID: 1, Commit: "a"}) // from before the list
	if two[0][2] != "STACK" || !slices.Contains(two[1], "platform") || slices.Contains(two[2], "platform") {
		t.Errorf("of several stacks: %v", two)
	}
	if one := listed(record.Sync{ID: 1, Commit: "a"}); one[0][2] != "COMMIT" {
		t.Errorf("of one stack: %v", one)
	}
}
