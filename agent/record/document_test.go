package record

import (
	"fmt"
	"strings"
)

// States lists all states in the order of a sync's life.
var States = []State{Pending, Waiting, Running, Succeeded, Failed, RolledBack, Superseded}

// Events lists all events.
var Events = []Event{
	Begin, ShareSuccess, ShareFailure, ShareRollback, Hold, Pass, Write, CarryOn, Succeed, Fail,
	StartRollback, FinishRollback, Unpin, Supersede,
}

// meanings says what each state and event means, for the document.
var meanings = map[string]string{
	string(Pending):    "recorded; nothing is written yet",
	string(Waiting):    "a gate holds it; `agent status` names the gate",
	string(Running):    "the engine is written to, or the result is waited for",
	string(Succeeded):  "applied and verified",
	string(Failed):     "not deployed or not verified; held, or tried again when the failure was transient",
	string(RolledBack): "an earlier good state runs again; the stack stays there until a new commit or `agent resume`",
	string(Superseded): "another sync replaced it before it finished",

	string(Begin):          "the sync is recorded",
	string(ShareSuccess):   "the commit changes nothing here, and the revision before it succeeded",
	string(ShareFailure):   "the commit changes nothing here, and the revision before it failed",
	string(ShareRollback):  "the commit changes nothing here, and the revision before it was rolled back",
	string(Hold):           "a gate holds the plan",
	string(Pass):           "every gate lets the plan pass",
	string(Write):          "the first write follows",
	string(CarryOn):        "it is tried again after an interruption or a transient failure",
	string(Succeed):        "the deployed specs are verified",
	string(Fail):           "the attempt ended with an error",
	string(StartRollback):  "it returns to a good state",
	string(FinishRollback): "the good state is verified",
	string(Unpin):          "a user ended the stay at the good state (`agent resume`)",
	string(Supersede):      "another sync takes its place",
}

// Document gives docs/states.md: the states, the events, and the table as a list and as a
// picture.
func Document() string {
	var b strings.Builder
	b.WriteString("# States of a sync\n\nGenerated from `agent/record/machine.go` by `make docs`; do not edit. For users who want to know what a state\nin `agent history` means, and for developers.\n\n")
	b.WriteString("Every sync is in one of these states. One function applies an event to a sync; an event that the\ntable does not have for a state is an error and changes nothing.\n\n")
	b.WriteString("```mermaid\nstateDiagram-v2\n")
	for _, row := range transitions() {
		from := string(row.from)
		if row.from == New {
			from = "[*]"
		}
		fmt.Fprintf(&b, "    %s --> %s: %s\n", from, row.to, row.event)
	}
	for _, state := range States {
		if state.Final() {
			fmt.Fprintf(&b, "    %s --> [*]\n", state)
		}
	}
	b.WriteString("```\n\n| state | final | means |\n|---|---|---|\n")
	for _, state := range States {
		final := ""
		if state.Final() {
			final = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", state, final, meanings[string(state)])
	}
	b.WriteString("\n| event | means |\n|---|---|\n")
	for _, event := range Events {
		fmt.Fprintf(&b, "| `%s` | %s |\n", event, meanings[string(event)])
	}
	b.WriteString("\n| from | event | to | only if |\n|---|---|---|---|\n")
	for _, row := range transitions() {
		from := string(row.from)
		if row.from == New {
			from = "(new)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", from, row.event, row.to, row.only)
	}
	return b.String()
}
