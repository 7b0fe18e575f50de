package agent

import (
	"fmt"

	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/record"
)

// lookEvent says what a look at a stack has seen.
func lookEvent(stack string, v board.View) events.Event {
	event := events.Event{Kind: events.Look, Stack: stack, State: "in_sync", Text: "looked: nothing is selected"}
	if v.Desired != nil {
		event.Commit = v.Desired.Commit
		event.Text = fmt.Sprintf("looked: %s selects %s", v.Desired.Ref, record.Short(v.Desired.Commit))
	}
	switch {
	case v.LookError != nil:
		event.State, event.Text = "failed", "cannot look: "+v.LookError.Error()
	case len(v.Drift) > 0:
		event.State = "drifted"
		event.Text += fmt.Sprintf("; %d live services differ", len(v.Drift))
	case !v.InSync():
		event.State = "out_of_sync"
	default:
		event.Text += ", which runs"
	}
	return event
}
