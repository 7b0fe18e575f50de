package report

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/record"
)

// StackLine is one of several stacks of a node in its status.
type StackLine struct {
	Stack  string `json:"stack"`            // its name in requests
	State  string `json:"state"`            // well, attention or alarm
	Text   string `json:"text"`             // its headline
	Commit string `json:"commit,omitempty"` // that runs
	Left   *Left  `json:"left,omitempty"`   // it was taken off the list
}

// Left says of a stack that config.yml does not list any more, and that runs on.
type Left struct {
	Commit  string   `json:"commit"`            // that took it off the list
	Prune   bool     `json:"prune"`             // it is removed once a user approves that
	Removes bool     `json:"removes,omitempty"` // its removal was approved, and has begun
	Kept    []string `json:"kept,omitempty"`    // what of it is not removed, and why
	Rest    bool     `json:"rest,omitempty"`    // all else of it is removed
}

// HeldBy says what holds the removal; "" if nothing does.
func (l *Left) HeldBy(held string) *Left {
	if l != nil && l.Removes && held != "" {
		l.Kept, l.Rest = []string{held}, false
	}
	return l
}

// next says what a user does about a stack that was taken off the list.
func (l *Left) next(stack string) string {
	switch {
	case l.Rest:
		return "it is removed but for this: " + strings.Join(l.Kept, "; ")
	case len(l.Kept) > 0:
		return "it is being removed: " + strings.Join(l.Kept, "; ")
	case l.Removes:
		return "wait: it is being removed"
	case l.Prune:
		return fmt.Sprintf("`agent approve %s --stack %s --reason …` removes it; its volumes stay", record.Short(l.Commit), stack)
	}
	return "it runs on; list it again with `prune: true` before you take it off, or remove it with `docker stack rm " + stack + "`"
}

// NotManaged begins the headline of a stack that was taken off the list.
const NotManaged = "NOT MANAGED ANY MORE"

// NewStackLine gives the line of a stack.
func NewStackLine(name string, status *Status) StackLine {
	line := StackLine{Stack: name, State: StateOf(status).String(), Left: status.Left}
	word, rest := Headline(status)
	if line.Text = word; rest != "" {
		line.Text += "  " + rest
	}
	if status.Applied != nil {
		line.Commit = status.Applied.Commit
	}
	return line
}

// String gives the state in a word, which is its class on the page.
func (s HeadlineState) String() string {
	switch s {
	case Alarm:
		return "alarm"
	case Attention:
		return "attention"
	case AllWell:
	}
	return "well"
}

// Worst gives the index of the status that decides about a node: the first of the worst.
func Worst(all []Status) int {
	worst := 0
	for i := range all {
		if all[i].Left == nil && StateOf(&all[i]) > StateOf(&all[worst]) {
			worst = i
		}
	}
	return worst
}
