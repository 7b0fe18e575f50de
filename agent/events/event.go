// Package events takes what happens on a node as it happens, and gives it to readers in
// order, from a ring of the last events. A reader that comes back learns what it missed,
// or that some of it is lost. Publishing never waits for a reader.
package events

import (
	"time"
	"unicode/utf8"

	"coin.internal/coin-agent/internal/visible"
)

// Kind says what an event is about.
type Kind string

// The kinds of events.
const (
	Look      Kind = "look"         // the agent has looked at the remote and the services
	Stage     Kind = "stage"        // an attempt enters a stage
	Gate      Kind = "gate"         // what a rollout waits for has changed
	Write     Kind = "write"        // a step of a plan begins or ends
	Progress  Kind = "progress"     // the services that are waited for have changed
	Failure   Kind = "task_failure" // a task of a service has failed
	Outcome   Kind = "outcome"      // a sync has ended, or a rollback follows it
	Verdict   Kind = "verdict"      // the health of the services has changed
	Delivered Kind = "delivered"    // GitLab has a status, or a receiver a notice
	Restarted Kind = "restarted"    // the agent has started: the events before it are gone
)

// Event is one thing that happened.
type Event struct {
	ID      string    `json:"id"` // of this event; a reader continues after it
	At      time.Time `json:"at"`
	Kind    Kind      `json:"kind"`
	Stack   string    `json:"stack,omitempty"` // "" for the only one of the node
	Sync    uint64    `json:"sync,omitempty"`
	Commit  string    `json:"commit,omitempty"`
	Service string    `json:"service,omitempty"` // by full name
	State   string    `json:"state,omitempty"`   // of the sync, the service or the node, or the name of the stage
	Text    string    `json:"text"`              // for people, on one line
}

// longestText is how many bytes of a text an event has.
const longestText = 500

// bounded gives the event as it is kept: its texts on one visible line, and cut.
func (e Event) bounded() Event {
	for _, text := range []*string{&e.Stack, &e.Commit, &e.Service, &e.State, &e.Text} {
		*text = visible.Line(*text)
		if len(*text) > longestText {
			end := longestText
			for !utf8.RuneStart((*text)[end]) {
				end--
			}
			*text = (*text)[:end] + "…"
		}
	}
	return e
}

// supersedes reports whether a reader that gets the event needs not have the one before:
// looks that see the same.
func (e Event) supersedes(before Event) bool {
	return e.Kind == Look && before.Kind == Look && e.Stack == before.Stack && e.Text == before.Text
}
