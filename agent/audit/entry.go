package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Action is what was done.
type Action string

// What the agent does with stacks and secrets.
const (
	Sync      Action = "sync"
	Create    Action = "create"
	Update    Action = "update"
	Replace   Action = "replace"
	ScaleDown Action = "scale-down"
	ScaleUp   Action = "scale-up" // a cron service back, after a rollout that did not come to its end
	Remove    Action = "remove"
	Use       Action = "use" // a service got a secret version that it did not have
	Rollback  Action = "rollback"
	Approve   Action = "approve"
	Pause     Action = "pause"
	Resume    Action = "resume"
	Retry     Action = "retry"
	Override  Action = "override" // of a freeze
	Rotate    Action = "rotate"
)

// What the log says of itself.
const (
	Opened     Action = "opened"     // the first entry of a new log
	Recovered  Action = "recovered"  // an unfinished last line was cut off
	Gap        Action = "gap"        // entries that had been written were not there
	Unanchored Action = "unanchored" // the state file did not know the log's head
)

// Kind is the kind of object that an entry is about.
type Kind string

// The kinds.
const (
	Stack   Kind = "stack"
	Service Kind = "service"
	Secret  Kind = "secret"
	Config  Kind = "config"
	Network Kind = "network"
	Journal Kind = "log" // this log
)

// Outcome is how it went.
type Outcome string

// The outcomes. An entry that says started is followed by one that says how it
// ended, unless the agent was stopped: the next start carries on.
const (
	Started    Outcome = "started"
	Succeeded  Outcome = "succeeded"
	Failed     Outcome = "failed"
	Superseded Outcome = "superseded" // a newer revision came before it was done
)

// By says what kind of actor it was.
type By string

// The kinds of actors.
const (
	ByAuthor By = "author" // of a commit that was synced because it came
	ByUser   By = "user"   // of this machine, who asked
	ByAgent  By = "agent"  // of itself
)

// Actor is who had something done.
type Actor struct {
	By    By     `json:"by"`
	Name  string `json:"name,omitempty"`
	UID   string `json:"uid,omitempty"`   // of a user
	Login string `json:"login,omitempty"` // who had logged in, where sudo or su made another user of them
}

// Agent is the actor of what the agent does by itself.
func Agent() Actor { return Actor{By: ByAgent} }

// Author is the author of a commit, as "Name <email>".
func Author(name string) Actor { return Actor{By: ByAuthor, Name: name} }

// String names the actor for people.
func (a Actor) String() string {
	switch {
	case a.By == ByAgent || a.By == "":
		return "agent"
	case a.By == ByAuthor:
		return a.Name
	case a.Login != "":
		return a.Name + " (" + a.Login + ")"
	}
	return a.Name
}

// Entry is one thing that was done. Whoever appends it leaves Seq, Time,
// Environment, Node, Prev and Hash to the log. No entry holds a secret's value.
type Entry struct {
	Seq         uint64    `json:"seq"`
	Time        time.Time `json:"time"`
	Actor       Actor     `json:"actor"`
	Action      Action    `json:"action"`
	Kind        Kind      `json:"kind"`
	Name        string    `json:"name"`              // full name in the engine, as db_access.3
	Service     string    `json:"service,omitempty"` // that uses it
	Environment string    `json:"environment"`
	Node        string    `json:"node"`
	Sync        uint64    `json:"sync,omitempty"`     // its number in the history
	Revision    string    `json:"revision,omitempty"` // the commit
	Plan        string    `json:"plan,omitempty"`     // the plan's digest
	Outcome     Outcome   `json:"outcome"`
	Error       string    `json:"error,omitempty"`
	Detail      string    `json:"detail,omitempty"`
	Prev        string    `json:"prev"` // hash of the entry before; empty in the first
	Hash        string    `json:"hash,omitempty"`
}

// The bounds of texts, in bytes: an entry stays a line that can be read at once.
const (
	maxName = 256
	maxText = 1024
	maxLine = 64 << 10 // with every byte escaped, and then some
)

// seal bounds the texts and adds the entry's own hash.
func (e *Entry) seal() {
	e.Time = e.Time.UTC().Round(0)
	for _, text := range []*string{
		&e.Actor.Name, &e.Actor.UID, &e.Actor.Login, &e.Name, &e.Service, &e.Environment, &e.Node, &e.Revision, &e.Plan,
		(*string)(&e.Actor.By), (*string)(&e.Action), (*string)(&e.Kind), (*string)(&e.Outcome),
	} {
		*text = bounded(*text, maxName)
	}
	e.Error, e.Detail = bounded(e.Error, maxText), bounded(e.Detail, maxText)
	e.Hash = e.sum()
}

// bounded is text in whole characters, cut where it is too long.
func bounded(text string, limit int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= limit {
		return text
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// sum is the SHA-256 of the entry's canonical form without its hash.
func (e *Entry) sum() string {
	bare := *e
	bare.Hash = ""
	sum := sha256.Sum256(bare.canonical())
	return hex.EncodeToString(sum[:])
}

// canonical is the entry as its line has it: JSON with the fields in their order
// here, without spaces.
func (e *Entry) canonical() []byte {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(e) // strings, numbers and a time of this age always encode
	return line.Bytes()
}

var (
	errForeign = errors.New("this is no entry of an audit log")
	errChanged = errors.New("this entry was changed: its hash does not fit")
)

// parse reads a line with its line break. Where the line was changed the entry is
// what it says now.
func parse(line []byte) (Entry, error) {
	var entry Entry
	if err := json.Unmarshal(line, &entry); err != nil || entry.Hash == "" && entry.Seq == 0 {
		return Entry{}, errForeign
	}
	if entry.sum() != entry.Hash || !bytes.Equal(entry.canonical(), line) {
		return entry, errChanged
	}
	return entry, nil
}

// Head is the last entry of a log. The zero Head is that of no log.
type Head struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

// Known tells whether there is an entry at all.
func (h Head) Known() bool { return h.Seq > 0 }

func (e *Entry) head() Head { return Head{Seq: e.Seq, Hash: e.Hash} }

// numbers says which entries, for people.
func numbers(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("entry %d", first)
	}
	return fmt.Sprintf("entries %d to %d", first, last)
}
