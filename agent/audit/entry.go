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
)

// Action is what was done.
type Action string

// Actions on stacks and secrets.
const (
	Sync      Action = "sync"
	Create    Action = "create"
	Update    Action = "update"
	Replace   Action = "replace"
	ScaleDown Action = "scale-down"
	ScaleUp   Action = "scale-up" // a cron service is restored after an unfinished rollout
	Remove    Action = "remove"
	Use       Action = "use" // a service got a new secret version
	Rollback  Action = "rollback"
	Approve   Action = "approve"
	Adopt     Action = "adopt" // of a stack or objects that this agent did not make
	Pause     Action = "pause"
	Resume    Action = "resume"
	Retry     Action = "retry"
	Override  Action = "override" // of a freeze
	Select    Action = "select"   // of a tag that need not be the newest
	Rotate    Action = "rotate"
	Soak      Action = "soak" // a good state did not stay healthy, or is healthy again
)

// Actions on the log itself.
const (
	Opened     Action = "opened"     // the first entry of a new log
	Recovered  Action = "recovered"  // an unfinished last line was cut off
	Gap        Action = "gap"        // written entries are missing
	Unanchored Action = "unanchored" // the state file did not know the log's head
)

// Kind is the kind of the object.
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

// Outcome is the result of the action.
type Outcome string

// The outcomes. A started entry is followed by an entry with the result. If the
// agent stops in between, it continues after its next start.
const (
	Started    Outcome = "started"
	Succeeded  Outcome = "succeeded"
	Failed     Outcome = "failed"
	Superseded Outcome = "superseded" // replaced by a newer revision before it finished
)

// By is the kind of an actor.
type By string

// The kinds of actors.
const (
	ByAuthor By = "author" // author of the synced commit
	ByUser   By = "user"   // user of this machine
	ByAgent  By = "agent"  // the agent itself
)

// Actor is the one who caused an action.
type Actor struct {
	By    By     `json:"by"`
	Name  string `json:"name,omitempty"`
	UID   string `json:"uid,omitempty"`   // only for users
	Login string `json:"login,omitempty"` // the login user, if sudo or su changed it
}

// Agent returns the actor of automatic actions.
func Agent() Actor { return Actor{By: ByAgent} }

// Author returns the actor for the author of a commit, "Name <email>".
func Author(name string) Actor { return Actor{By: ByAuthor, Name: name} }

// String returns the actor's name for display.
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

// Entry is one action. The log sets Seq, Time, Environment, Node, Prev and Hash.
// An entry never contains a secret value.
type Entry struct {
	Seq         uint64    `json:"seq"`
	Time        time.Time `json:"time"`
	Actor       Actor     `json:"actor"`
	Action      Action    `json:"action"`
	Kind        Kind      `json:"kind"`
	Name        string    `json:"name"`              // full name in the engine, such as db_access.3
	Service     string    `json:"service,omitempty"` // the service that uses the object
	Environment string    `json:"environment"`
	Node        string    `json:"node"`
	Stack       string    `json:"stack,omitempty"`    // the stack's key, where the node has several
	Sync        uint64    `json:"sync,omitempty"`     // the sync's number in the history
	Revision    string    `json:"revision,omitempty"` // the commit
	Plan        string    `json:"plan,omitempty"`     // the plan's digest
	Outcome     Outcome   `json:"outcome"`
	Error       string    `json:"error,omitempty"`
	Detail      string    `json:"detail,omitempty"`
	Prev        string    `json:"prev"` // hash of the previous entry; empty in the first
	Hash        string    `json:"hash,omitempty"`
}

// The limits of texts in bytes, so that a line fits into the read buffer.
const (
	maxName = 256
	maxText = 1024
	maxLine = 64 << 10 // all texts with every byte escaped fit in
)

// seal shortens long texts and sets the entry's hash.
func (e *Entry) seal() {
	e.Time = e.Time.UTC().Round(0)
	for _, text := range []*string{
		&e.Actor.Name, &e.Actor.UID, &e.Actor.Login, &e.Name, &e.Service, &e.Environment, &e.Node, &e.Stack, &e.Revision, &e.Plan,
		(*string)(&e.Actor.By), (*string)(&e.Action), (*string)(&e.Kind), (*string)(&e.Outcome),
	} {
		*text = bounded(*text, maxName)
	}
	e.Error, e.Detail = bounded(e.Error, maxText), bounded(e.Detail, maxText)
	e.Hash = e.sum()
}

// bounded returns text as valid UTF-8 of at most limit bytes.
func bounded(text string, limit int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
}

// sum returns the SHA-256 of the entry's canonical form without its hash.
func (e *Entry) sum() string {
	bare := *e
	bare.Hash = ""
	sum := sha256.Sum256(bare.canonical())
	return hex.EncodeToString(sum[:])
}

// canonical returns the entry's line: JSON without spaces, with the fields in the
// order of the struct.
func (e *Entry) canonical() []byte {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(e) // strings, numbers and a time of this age always encode
	return line.Bytes()
}

var (
	errForeign = errors.New("the line is not an audit log entry")
	errChanged = errors.New("the entry was changed: its hash does not match")
)

// parse reads a line with its line break. With errChanged, it also returns the
// changed entry.
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

// Head identifies the last entry of a log. The zero Head means that no entry exists.
type Head struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

// Known reports whether the head identifies an entry.
func (h Head) Known() bool { return h.Seq > 0 }

func (e *Entry) head() Head { return Head{Seq: e.Seq, Hash: e.Hash} }

// missing describes a range of missing entries.
func missing(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("entry %d is missing", first)
	}
	return fmt.Sprintf("entries %d to %d are missing", first, last)
}
