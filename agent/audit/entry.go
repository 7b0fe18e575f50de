package audit

import (
	"bytes"
	"crypto/hmac"
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
	Use       Action = "use"  // a service got a new secret version
	ReadVault Action = "read" // a version of a secret, from Vault
	Rollback  Action = "rollback"
	Approve   Action = "approve"
	Adopt     Action = "adopt" // of a stack or objects that this agent did not make
	Pause     Action = "pause"
	Resume    Action = "resume"
	Retry     Action = "retry"
	Ask       Action = "ask"      // for a sync, with a reason
	Override  Action = "override" // of a freeze
	Select    Action = "select"   // of a tag that need not be the newest
	Rotate    Action = "rotate"
	Soak      Action = "soak"   // a good state did not stay healthy, or is healthy again
	Reload    Action = "reload" // of the policy in agent.yml, or of the API's tokens
)

// Actions on the log itself.
const (
	Opened     Action = "opened"     // the first entry of a new log
	Keyed      Action = "keyed"      // entries from this one on are sealed with the node's key
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
	Policy  Kind = "policy" // the rules of the node
	Vault   Kind = "vault"  // a path in Vault
	Tokens  Kind = "tokens" // who may use the API
	Journal Kind = "log"    // this log
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

// Entry is one action. The log sets Seq, Time, Environment, Node, Prev, Hash and Seal.
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
	Prev        string    `json:"prev"`           // hash of the previous entry; empty in the first
	Hash        string    `json:"hash,omitempty"` // of all above, so that everybody can compare it with an anchor
	Seal        string    `json:"seal,omitempty"` // of the same with the node's key; empty in entries of older agents
}

// Ended says how what the entry tells ended: err is nil for a success.
func (e *Entry) Ended(err error) {
	e.Outcome = Succeeded
	if err != nil {
		e.Outcome, e.Error = Failed, err.Error()
	}
}

// The limits of texts in bytes, so that a line fits into the read buffer.
const (
	maxName = 256
	maxText = 1024
	maxLine = 64 << 10 // all texts with every byte escaped fit in
)

// finish shortens long texts and sets the entry's hash, and its seal if there is a key.
func (e *Entry) finish(key []byte) {
	e.Time = e.Time.UTC().Round(0)
	for _, text := range []*string{
		&e.Actor.Name, &e.Actor.UID, &e.Actor.Login, &e.Name, &e.Service, &e.Environment, &e.Node, &e.Stack, &e.Revision, &e.Plan,
		(*string)(&e.Actor.By), (*string)(&e.Action), (*string)(&e.Kind), (*string)(&e.Outcome),
	} {
		*text = bounded(*text, maxName)
	}
	e.Error, e.Detail = bounded(e.Error, maxText), bounded(e.Detail, maxText)
	e.Hash = e.sum()
	if len(key) > 0 {
		e.Seal = e.sealBy(key)
	}
}

// bounded returns text as valid UTF-8 of at most limit bytes.
func bounded(text string, limit int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
}

// sum returns the SHA-256 of the entry's canonical form without its hash and seal.
func (e *Entry) sum() string {
	sum := sha256.Sum256(e.bare())
	return hex.EncodeToString(sum[:])
}

// sealBy returns the HMAC-SHA256 of what sum covers. It covers the hash of the previous
// entry, and so the whole log before it.
func (e *Entry) sealBy(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(e.bare())
	return hex.EncodeToString(mac.Sum(nil))
}

// sealedBy reports whether the entry was sealed with the key.
func (e *Entry) sealedBy(key []byte) bool {
	return hmac.Equal([]byte(e.Seal), []byte(e.sealBy(key)))
}

func (e *Entry) bare() []byte {
	bare := *e
	bare.Hash, bare.Seal = "", ""
	return bare.canonical()
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
	Seq   uint64 `json:"seq"`
	Hash  string `json:"hash"`
	Keyed uint64 `json:"keyed,omitempty"` // the first entry of those that all have the key's seal; 0 for none
}

// Known reports whether the head identifies an entry.
func (h Head) Known() bool { return h.Seq > 0 }

// is reports whether the head is of an entry.
func (h Head) is(e *Entry) bool { return h.Seq == e.Seq && h.Hash == e.Hash }

// missing describes a range of missing entries.
func missing(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("entry %d is missing", first)
	}
	return fmt.Sprintf("entries %d to %d are missing", first, last)
}
