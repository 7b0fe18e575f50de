package notify

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"coin.internal/coin-agent/internal/backoff"
)

// The limits of the outbox.
const (
	mostEntries = 100
	mostSent    = 5 // messages to a receiver within sentWindow
	urgentSent  = 5 // more of them, for notices that are urgent
	sentWindow  = 10 * time.Minute
	sendLimit   = 30 * time.Second // of one attempt
	longestRest = time.Hour
	sideBySide  = 4 // receivers at the same time
	flushTries  = 3
)

// Store persists the book. SaveNotices is durable when it returns.
type Store interface {
	Notices() (Book, error)
	SaveNotices(book *Book) error
}

// Book is the persistent state of the outbox.
type Book struct {
	Last    uint64             `json:"last"` // number of the last entry
	Wants   Wants              `json:"wants"`
	Told    Told               `json:"told"`
	Stacks  map[string]Told    `json:"stacks,omitempty"` // likewise, by the stack of a node with several
	Entries []Entry            `json:"entries,omitempty"`
	Sent    map[string]Sent    `json:"sent,omitempty"`    // by receiver
	Titles  map[string]string  `json:"titles,omitempty"`  // of the last message that a receiver has accepted, by receiver
	Refused map[string]Refusal `json:"refused,omitempty"` // by receiver, until it accepts a message
	Dropped int                `json:"dropped,omitempty"` // number of entries beyond mostEntries
}

// Wants is the section notifications of config.yml. It is persistent, so that the receivers
// are notified of a config.yml that cannot be read.
type Wants struct {
	Receivers []Receiver `json:"receivers,omitempty"`
	Events    []Event    `json:"events,omitempty"`
	Variable  string     `json:"variable,omitempty"` // the key of the webhook's URL in secrets.enc
}

// Entry is a notice and the receivers that have not accepted it yet.
type Entry struct {
	Seq    uint64     `json:"seq"`
	Notice Notice     `json:"notice"`
	Left   []Receiver `json:"left"`
}

// Sent has the times of the last messages.
type Sent []time.Time

// Refusal is a message that a receiver permanently refused, and the reason.
type Refusal struct {
	Title  string    `json:"title"`
	Reason string    `json:"reason"`
	Hint   string    `json:"hint,omitempty"`
	Time   time.Time `json:"time"`
}

// Outbox accepts notices and delivers them.
type Outbox struct {
	use  Options
	wake backoff.Bell

	mu       sync.Mutex
	book     Book
	waits    map[Receiver]backoff.Wait
	problems map[Receiver]Problem
}

// Options has the dependencies of an outbox.
type Options struct {
	Senders map[Kind]Sender // messages of other kinds wait
	Store   Store
	Log     *slog.Logger
	Count   func(kind Kind, result string)    // sent, failed or dropped; may be nil
	Sent    func(to Receiver, message string) // gets the title of each message that a receiver has accepted; may be nil
	Random  backoff.Random                    // for the jitter of waits; may be nil
}

// NewOutbox makes an outbox with the book of the store. Only Run and Flush send messages;
// one of them at a time.
func NewOutbox(o Options) (*Outbox, error) {
	book, err := o.Store.Notices()
	if err != nil {
		return nil, fmt.Errorf("read notices: %w", err)
	}
	if o.Count == nil {
		o.Count = func(Kind, string) {}
	}
	if o.Sent == nil {
		o.Sent = func(Receiver, string) {}
	}
	return &Outbox{
		use: o, wake: backoff.NewBell(), book: book,
		waits: map[Receiver]backoff.Wait{}, problems: map[Receiver]Problem{},
	}, nil
}

// Use sets the section notifications of config.yml. Removed receivers get no more messages.
func (o *Outbox) Use(wants Wants) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	slices.SortFunc(wants.Receivers, compareReceivers)
	wants.Receivers = slices.Compact(wants.Receivers)
	old := o.book.Wants
	if slices.Equal(old.Receivers, wants.Receivers) && slices.Equal(old.Events, wants.Events) && old.Variable == wants.Variable {
		return nil
	}
	return o.save(func(book *Book) {
		book.Wants = wants
		for _, receiver := range old.Receivers {
			if !slices.Contains(wants.Receivers, receiver) {
				book.strike(receiver, nil)
				delete(book.Refused, receiver.String())
				delete(book.Sent, receiver.String())
				delete(book.Titles, receiver.String())
			}
		}
	})
}

// Tell accepts a notice, which is durable when Tell returns. It skips repeated notices, and
// events that are not in config.yml.
func (o *Outbox) Tell(n Notice) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	told := o.book.told(n.Key)
	event, news := told.take(&n)
	if !news {
		return nil
	}
	if n.Time.IsZero() {
		n.Time = time.Now()
	}
	var surplus []Entry
	err := o.save(func(book *Book) {
		book.setTold(n.Key, told)
		if n.Event = event; !book.Wants.want(&n) {
			return
		}
		left := slices.DeleteFunc(slices.Clone(book.Wants.Receivers), func(r Receiver) bool { return !r.Kind.hears(&n, told.Failing) })
		if len(left) == 0 {
			return
		}
		book.Last++
		book.Entries = append(book.Entries, Entry{Seq: book.Last, Notice: n, Left: left})
		surplus = book.trim()
	})
	if err != nil {
		return err
	}
	o.lost(surplus)
	o.wake.Ring()
	return nil
}

// want reports whether a notice is wanted. A recovery also counts as a success, and a
// rollback after a failure as a failure.
func (w *Wants) want(n *Notice) bool {
	if n.Event == Recovery && !slices.Contains(w.Events, Recovery) {
		n.Event = Success
	}
	if n.Event == Rollback && n.Failed && !slices.Contains(w.Events, Rollback) {
		n.Event = Failure
	}
	if n.Event == Success && n.Quiet {
		return false
	}
	return len(w.Receivers) > 0 && slices.Contains(w.Events, n.Event)
}

// DriftOver records the end of a stack's drift, so that the next drift is new, even the same
// one.
func (o *Outbox) DriftOver(stack string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	told := o.book.told(stack)
	if told.Drift == "" {
		return nil
	}
	told.Drift = ""
	return o.save(func(book *Book) { book.setTold(stack, told) })
}

// told gives the record of a stack's last notices.
func (b *Book) told(stack string) Told {
	if stack == "" {
		return b.Told
	}
	return b.Stacks[stack]
}

func (b *Book) setTold(stack string, told Told) {
	if stack == "" {
		b.Told = told
		return
	}
	if b.Stacks == nil {
		b.Stacks = map[string]Told{}
	}
	b.Stacks[stack] = told
}

// Nudge ends the waits of the receivers of a kind, because their cause may be gone.
func (o *Outbox) Nudge(kind Kind) {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.waits, func(r Receiver, _ backoff.Wait) bool { return r.Kind == kind })
	o.wake.Ring()
}

// save changes the book, first in the store.
func (o *Outbox) save(change func(book *Book)) error {
	book := o.book
	book.Entries, book.Stacks = slices.Clone(book.Entries), maps.Clone(book.Stacks)
	book.Sent, book.Titles, book.Refused = maps.Clone(book.Sent), maps.Clone(book.Titles), maps.Clone(book.Refused)
	if book.Sent == nil {
		book.Sent = map[string]Sent{}
	}
	if book.Titles == nil {
		book.Titles = map[string]string{}
	}
	if book.Refused == nil {
		book.Refused = map[string]Refusal{}
	}
	change(&book)
	if err := o.use.Store.SaveNotices(&book); err != nil {
		return fmt.Errorf("save notices: %w", err)
	}
	o.book = book
	return nil
}

// strike removes a receiver from the entries with the numbers seqs, or from all entries if
// seqs is nil, and removes entries without receivers.
func (b *Book) strike(receiver Receiver, seqs []uint64) {
	kept := b.Entries[:0:0]
	for _, entry := range b.Entries {
		if seqs == nil || slices.Contains(seqs, entry.Seq) {
			entry.Left = slices.DeleteFunc(slices.Clone(entry.Left), func(r Receiver) bool { return r == receiver })
		}
		if len(entry.Left) > 0 {
			kept = append(kept, entry)
		}
	}
	b.Entries = kept
}

// trim removes and returns the oldest entries beyond mostEntries.
func (b *Book) trim() []Entry {
	surplus := max(len(b.Entries)-mostEntries, 0)
	dropped := b.Entries[:surplus]
	b.Entries = b.Entries[surplus:]
	b.Dropped += surplus
	return dropped
}

// lost logs and counts removed entries.
func (o *Outbox) lost(entries []Entry) {
	for _, entry := range entries {
		for _, receiver := range entry.Left {
			o.use.Count(receiver.Kind, "dropped")
			o.use.Log.Warn("notice dropped", "reason", "too many undelivered notices", "receiver", receiver.String(), "notice", title(&entry.Notice), "of", entry.Notice.Time)
		}
	}
}

// Run delivers until ctx ends, and returns ctx's error.
func (o *Outbox) Run(ctx context.Context) error { return o.wake.Loop(ctx, o.round) }

// Flush delivers until no notice is left, ctx ends, or all left notices have failed several
// times or exceed the limit of messages.
func (o *Outbox) Flush(ctx context.Context) error {
	for {
		next := o.round(ctx)
		health := o.Health()
		if health.Undelivered == 0 {
			return nil
		}
		if ctx.Err() != nil || o.stuck(&health) {
			return health.fault()
		}
		o.wake.Rest(ctx, next)
	}
}

// stuck reports whether none of the left notices will be sent soon.
func (o *Outbox) stuck(health *Health) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !slices.ContainsFunc(health.Receivers, func(c Condition) bool {
		return c.Waiting > 0 && c.Held.IsZero() && o.waits[c.receiver()].Tries < flushTries
	})
}
