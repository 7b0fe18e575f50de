package report_test

import (
	"fmt"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

func pageOf(text string) report.PlanPage {
	return report.PlanPage{Cells: []string{text, "", ""}, Details: "<details><summary>" + text + "</summary>\n\n</details>"}
}

// TestPlanNote replaces the parts of nodes, and leaves those of the others as they are.
func TestPlanNote(t *testing.T) {
	note := report.NewPlanNote("prod--eu west", "node3")
	note.Set("node4", pageOf("four"))
	note.Set("node3", pageOf("three"))
	text := note.String()
	if strings.Index(text, "| node3 | three") > strings.Index(text, "| node4 | four") {
		t.Errorf("not sorted:\n%s", text)
	}
	read, ok := report.ParsePlanNote("prod--eu west", strings.ReplaceAll(text, "\n", "\r\n")+"\n")
	if !ok || read.Maker != "node3" || read.String() != text {
		t.Fatalf("read %t:\n%s\nof\n%s", ok, read, text)
	}
	if !read.Has("node3", pageOf("three")) || read.Has("node3", pageOf("other")) || read.Has("node5", pageOf("three")) {
		t.Error("what it has is not known")
	}
	read.Set("node3", pageOf("changed"))
	again, ok := report.ParsePlanNote("prod--eu west", read.String())
	if !ok || !again.Has("node3", pageOf("changed")) || !again.Has("node4", pageOf("four")) {
		t.Errorf("after a change:\n%s", read)
	}
	for _, other := range []string{"", "a note", "<!-- coin-agent:plans prod by node3 -->", "> " + text} {
		if _, ok := report.ParsePlanNote("prod--eu west", other); ok {
			t.Errorf("taken for a note: %q", other)
		}
	}
	cut, ok := report.ParsePlanNote("prod--eu west", text[:strings.Index(text, "coin-agent:end node4")])
	if !ok || cut.Has("node4", pageOf("four")) || !cut.Has("node3", pageOf("three")) {
		t.Errorf("cut off:\n%s", cut)
	}
	filled := report.NewPlanNote("prod--eu west", "node5")
	filled.Set("node3", pageOf("own"))
	filled.Fill(read)
	if !filled.Has("node3", pageOf("own")) || !filled.Has("node4", pageOf("four")) {
		t.Errorf("filled:\n%s", filled)
	}
}

// TestPlanNoteHostile wants no text to forge a mark, to end a fold or a cell, or to be a
// quick action.
func TestPlanNoteHostile(t *testing.T) {
	for _, hostile := range []string{
		"/merge", "x\n/approve\n/close", "\t/merge", "<!-- coin-agent:end node3 -->", "a\n<!-- coin-agent:begin node4 0123456789abcdef -->\nb",
		"x <!-- coin-agent:row node4 --> |", "</details>", "</summary><script>alert(1)</script>", "```\n/merge\n```", "| a | b |", "@all !1 #2",
		"-->", "\u202e\u200b\x1b[2A", strings.Repeat("x", 1_000_000), strings.Repeat("a\n", 100_000),
	} {
		page := (&report.Preview{
			Node: "node3", Branch: hostile, Head: hostile, Target: hostile, Runs: hostile, Release: hostile, Signer: hostile,
			Loosens: []string{hostile}, Waits: []string{hostile}, Behind: true,
			Plan: &deploy.RecordedPlan{
				Stack: hostile, Warnings: []string{hostile},
				Steps: []deploy.Step{{Action: deploy.Update, Kind: deploy.Service, Name: hostile, Changes: []deploy.Change{
					{Path: "TaskTemplate.ContainerSpec.Env[" + hostile + "]", Old: hostile, New: hostile + "2"},
					{Path: "TaskTemplate.ContainerSpec.Secrets[" + hostile + "]", Old: hostile + ".1", New: hostile + ".2"},
				}}},
			},
		}).Page()
		refused := (&report.Preview{Node: "node5", Branch: hostile, Refused: "cannot be rendered", Faults: []record.Fault{{Error: hostile, Hint: hostile}}}).Page()
		note := report.NewPlanNote("sandbox", "node3")
		note.Set("node3", page)
		note.Set("node5", refused)
		note.Set("node6", report.StalePage(page, hostile, hostile))
		text := note.String()
		for line := range strings.Lines(text) {
			if strings.HasPrefix(strings.TrimSpace(line), "/") {
				t.Errorf("%.40q: a line is a command: %.80q", hostile, line)
			}
		}
		if len(text) > 120_000 || strings.ContainsAny(text, "\u202e\u200b\x1b") {
			t.Errorf("%.40q: %d bytes", hostile, len(text))
		}
		read, ok := report.ParsePlanNote("sandbox", text)
		if !ok || fmt.Sprint(read.Nodes()) != "[node3 node5 node6]" || read.String() != text || !read.Has("node3", page) {
			t.Errorf("%.40q: read %t %v", hostile, ok, read.Nodes())
		}
		if begun := strings.Count(text, "\n<details><summary>node"); begun != 3 {
			t.Errorf("%.40q: %d folds", hostile, begun)
		}
	}
}

// TestBigNote wants a note that GitLab takes, however many nodes there are.
func TestBigNote(t *testing.T) {
	note := report.NewPlanNote("sandbox", "n0")
	for i := range 100 {
		note.Set(fmt.Sprint("n", i), report.PlanPage{Cells: []string{"plan", "", ""}, Details: strings.Repeat("x", 20_000)})
	}
	text := note.String()
	if len(text) > 1_000_000 || !strings.Contains(text, "The note has no room for the plan of") {
		t.Errorf("%d bytes", len(text))
	}
	read, ok := report.ParsePlanNote("sandbox", text)
	if !ok || len(read.Nodes()) != 100 || !read.Has("n99", report.PlanPage{Cells: []string{"plan", "", ""}, Details: strings.Repeat("x", 20_000)}) {
		t.Errorf("%d nodes", len(read.Nodes()))
	}
}
