package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/lazyregexp"
)

// Event is the event of a notice.
type Event string

// The events, as in config.yml.
const (
	Failure  Event = "failure"
	Recovery Event = "recovery" // the first success after a failure
	Success  Event = "success"  // a rollout with changes
	Rollback Event = "rollback" // the node was rolled back
	Waiting  Event = "waiting"  // for a user
	Drift    Event = "drift"
)

// Notice is one notification. Its texts contain no secrets.
type Notice struct {
	Event       Event     `json:"event"`
	Environment string    `json:"environment"`
	Node        string    `json:"node"`
	Stack       string    `json:"stack,omitempty"`
	Key         string    `json:"key,omitempty"` // of the stack, where the node has several
	Release     string    `json:"release,omitempty"`
	Commit      string    `json:"commit,omitempty"`
	Ref         string    `json:"ref,omitempty"`
	Author      string    `json:"author,omitempty"`
	Subject     string    `json:"subject,omitempty"` // of the commit
	Link        string    `json:"link,omitempty"`    // to the commit
	Page        string    `json:"page,omitempty"`    // of the sync, with its report
	Title       string    `json:"title"`             // what happened, such as "rollout failed at verify"
	Details     []Detail  `json:"details,omitempty"`
	Next        string    `json:"next,omitempty"` // the next step
	Time        time.Time `json:"time"`
	Token       string    `json:"token,omitempty"`  // tells the GitLab token that the notice is about from others
	Health      string    `json:"health,omitempty"` // of the services, in a notice about it: healthy, degraded or unhealthy
	Failed      bool      `json:"failed,omitempty"` // a rollback after a failed rollout, which also counts as a failure
	Again       bool      `json:"-"`                // it is asked for or tried again: a notice that differs only in numbers is not sent
	Quiet       bool      `json:"-"`                // a success without changes, which is sent only as a recovery
}

// Detail is one fault, difference or result with its hint.
type Detail struct {
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

// key returns the same text for notices with the same content.
func (n *Notice) key() string {
	sum := sha256.New()
	words := func(text string) string {
		if n.Again {
			return numbered().ReplaceAllString(text, "#")
		}
		return text
	}
	_, _ = fmt.Fprintf(sum, "%q %q %q", n.Event, n.Commit, words(n.Title))
	for _, detail := range n.Details {
		_, _ = fmt.Fprintf(sum, " %q", words(detail.Text))
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}

// urgent reports whether the limit of messages must not delay a notice: other ones leave room
// for it.
func (n Notice) urgent() bool {
	return n.Event == Failure || n.Event == Rollback
}

// setting returns the setting of the GitLab token that the notice is about.
func (n *Notice) setting() string {
	setting, _, _ := strings.Cut(n.Token, " ")
	return setting
}

// numbered matches words that change between attempts: ports, times, free space.
var numbered = lazyregexp.New(`\S*\d\S*`)

// Told is the record of the last notices, so that no notice is sent twice.
type Told struct {
	Commit  string   `json:"commit,omitempty"`
	Keys    []string `json:"keys,omitempty"` // of the commit's notices
	Drift   string   `json:"drift,omitempty"`
	Health  string   `json:"health,omitempty"`  // "" while all services are healthy
	Failing bool     `json:"failing,omitempty"` // the last outcome was a failure

	Tokens map[string]string `json:"tokens,omitempty"` // the last notice of each GitLab token
}

// mostKeys is the maximum number of recorded notices of one commit.
const mostKeys = 50

// take reports whether a notice is new, and returns its event: a success after a failure, or
// after a release that did not stay healthy, is a recovery.
func (t *Told) take(n *Notice) (Event, bool) {
	key := n.key()
	if n.Event == Drift {
		news := t.Drift != key
		t.Drift = key
		return Drift, news
	}
	if n.Token != "" {
		return n.Event, t.takeToken(n)
	}
	if n.Health != "" {
		now := n.Health
		if n.Event == Recovery {
			now = ""
		}
		news := t.Health != now
		t.Health = now
		return n.Event, news
	}
	if t.Commit != n.Commit {
		t.Commit, t.Keys = n.Commit, nil
	}
	event := n.Event
	known := slices.Contains(t.Keys, key)
	if n.Event == Success && (t.Failing || t.Health != "" && !known) {
		event, t.Failing, t.Health, t.Keys = Recovery, false, "", []string{key}
		return event, true
	}
	if known {
		return event, false
	}
	if n.Event == Success {
		t.Keys = nil // later failures are new
	}
	t.Failing = t.Failing || n.Event == Failure || n.Failed
	if n.Event == Rollback { // the health was that of another release, whose failure is not over
		t.Failing, t.Health = t.Failing || t.Health != "", ""
	}
	t.Keys = append(slices.Clone(t.Keys[max(len(t.Keys)-mostKeys+1, 0):]), key)
	return event, true
}

// takeToken reports whether the notice of a GitLab token is new.
func (t *Told) takeToken(n *Notice) (news bool) {
	setting, key := n.setting(), n.key()+n.Token
	if n.Event == Recovery {
		key = ""
	}
	news = t.Tokens[setting] != key
	t.Tokens = maps.Clone(t.Tokens)
	if t.Tokens == nil {
		t.Tokens = map[string]string{}
	}
	t.Tokens[setting] = key
	if key == "" {
		delete(t.Tokens, setting) // later problems are new
	}
	return news
}
