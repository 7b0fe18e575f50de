package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Event is what a notice tells of.
type Event string

// The events, as config.yml names them.
const (
	Failure  Event = "failure"
	Recovery Event = "recovery" // the first success after a failure
	Success  Event = "success"  // a rollout that changed something
	Rollback Event = "rollback" // the node runs an earlier state now
	Waiting  Event = "waiting"  // for a person
	Drift    Event = "drift"
)

// Notice is one thing to tell. Its texts are free of secrets.
type Notice struct {
	Event       Event     `json:"event"`
	Environment string    `json:"environment"`
	Node        string    `json:"node"`
	Stack       string    `json:"stack,omitempty"`
	Release     string    `json:"release,omitempty"`
	Commit      string    `json:"commit,omitempty"`
	Ref         string    `json:"ref,omitempty"`
	Author      string    `json:"author,omitempty"`
	Subject     string    `json:"subject,omitempty"` // of the commit
	Link        string    `json:"link,omitempty"`    // to the commit
	Title       string    `json:"title"`             // what happened, such as "rollout failed at verify"
	Details     []Detail  `json:"details,omitempty"`
	Next        string    `json:"next,omitempty"` // what follows, and what to do
	Time        time.Time `json:"time"`
	Failed      bool      `json:"failed,omitempty"` // a rollback of a rollout that failed: those who want failures are told
	Again       bool      `json:"-"`                // it is tried again by itself: other numbers alone are no news
	Quiet       bool      `json:"-"`                // a success that changed nothing: told only as a recovery
}

// Detail is one fault, difference or result, and its remedy.
type Detail struct {
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

// key is the same for two notices that say the same.
func (n *Notice) key() string {
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%q %q %q", n.Event, n.Commit, n.Title)
	for _, detail := range n.Details {
		text := detail.Text
		if n.Again {
			text = numbered.ReplaceAllString(text, "#")
		}
		_, _ = fmt.Fprintf(sum, " %q", text)
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}

// numbered are the words that change from try to try: ports, times, free space.
var numbered = regexp.MustCompile(`\S*\d\S*`)

// Told is what has been told, so that nothing is told twice.
type Told struct {
	Commit  string   `json:"commit,omitempty"`
	Keys    []string `json:"keys,omitempty"` // of the commit's notices
	Drift   string   `json:"drift,omitempty"`
	Failing bool     `json:"failing,omitempty"` // the last outcome was a failure
}

// mostKeys is how many notices of one commit are remembered.
const mostKeys = 50

// take says whether a notice is news, and what is told then; a success after a
// failure is a recovery.
func (t *Told) take(n *Notice) (Event, bool) {
	key := n.key()
	if n.Event == Drift {
		news := t.Drift != key
		t.Drift = key
		return Drift, news
	}
	if t.Commit != n.Commit {
		t.Commit, t.Keys = n.Commit, nil
	}
	event := n.Event
	if n.Event == Success && t.Failing {
		event, t.Failing, t.Keys = Recovery, false, []string{key}
		return event, true
	}
	if slices.Contains(t.Keys, key) {
		return event, false
	}
	if n.Event == Success {
		t.Keys = nil // what fails from now on is news
	}
	t.Failing = t.Failing || n.Event == Failure || n.Failed
	t.Keys = append(slices.Clone(t.Keys[max(len(t.Keys)-mostKeys+1, 0):]), key)
	return event, true
}
