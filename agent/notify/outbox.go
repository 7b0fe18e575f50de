package notify

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Bounds of what is kept and sent.
const (
	mostEntries = 100
	mostSent    = 5 // messages to a receiver within sentWindow
	sentWindow  = 10 * time.Minute
	sendLimit   = 30 * time.Second // of one attempt
	firstWait   = time.Second
	slowestWait = 5 * time.Minute
	longestRest = time.Hour
	sideBySide  = 4 // receivers
	flushTries  = 3
)

// Store keeps the book over restarts. SaveNotices is durable when it returns.
type Store interface {
	Notices() (Book, error)
	SaveNotices(book *Book) error
}

// Book is all that the outbox must not forget.
type Book struct {
	Last    uint64             `json:"last"` // number of the last entry
	Wants   Wants              `json:"wants"`
	Told    Told               `json:"told"`
	Entries []Entry            `json:"entries,omitempty"`
	Sent    map[string]Sent    `json:"sent,omitempty"`    // by receiver
	Refused map[string]Refusal `json:"refused,omitempty"` // by receiver, until it takes one
	Dropped int                `json:"dropped,omitempty"` // too many waited
}

// Wants is what config.yml says: who is told of what. It is kept, so that a
// config.yml that cannot be read is told to those of before.
type Wants struct {
	Receivers []Receiver `json:"receivers,omitempty"`
	Events    []Event    `json:"events,omitempty"`
	Variable  string     `json:"variable,omitempty"` // that holds the webhook's URL
}

// Entry is a notice and those who have not got it yet.
type Entry struct {
	Seq    uint64     `json:"seq"`
	Notice Notice     `json:"notice"`
	Left   []Receiver `json:"left"`
}

// Sent are the times of the last messages.
type Sent []time.Time

// Refusal is a message that a receiver will never have, and why.
type Refusal struct {
	Title  string    `json:"title"`
	Reason string    `json:"reason"`
	Hint   string    `json:"hint,omitempty"`
	Time   time.Time `json:"time"`
}

// Outbox takes notices and delivers them.
type Outbox struct {
	senders map[Kind]Sender
	store   Store
	log     *slog.Logger
	count   func(kind Kind, result string)
	wake    chan struct{}

	delivering sync.Mutex // admits one round at a time

	mu       sync.Mutex
	book     Book
	waits    map[Receiver]wait
	troubles map[Receiver]Trouble
}

// wait is the time before the next attempt, and how many have failed.
type wait struct {
	until time.Time
	tries int
}

// Options are what an outbox works with.
type Options struct {
	Senders map[Kind]Sender // a kind without one waits until it has
	Store   Store
	Log     *slog.Logger
	Count   func(kind Kind, result string) // sent, failed or dropped; may be nil
}

// NewOutbox makes an outbox over what the store holds. Nothing is sent before
// Run or Flush.
func NewOutbox(o Options) (*Outbox, error) {
	book, err := o.Store.Notices()
	if err != nil {
		return nil, fmt.Errorf("read the notices: %w", err)
	}
	if o.Count == nil {
		o.Count = func(Kind, string) {}
	}
	return &Outbox{
		senders: o.Senders, store: o.Store, log: o.Log, count: o.Count, wake: make(chan struct{}, 1),
		book: book, waits: map[Receiver]wait{}, troubles: map[Receiver]Trouble{},
	}, nil
}

// Use takes what config.yml says. Those who are no longer listed get nothing
// more.
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
			}
		}
	})
}

// Variable names the variable that holds the webhook's URL, where config.yml
// asks for a channel.
func (o *Outbox) Variable() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.book.Wants.Variable
}

// Tell takes a notice; it is durable when Tell returns. What has been told
// already, or nobody wants to know, is skipped.
func (o *Outbox) Tell(n Notice) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	told := o.book.Told
	event, news := told.take(&n)
	if !news {
		return nil
	}
	if n.Time.IsZero() {
		n.Time = time.Now()
	}
	var surplus []Entry
	err := o.save(func(book *Book) {
		book.Told = told
		if n.Event = event; !book.Wants.want(&n) {
			return
		}
		book.Last++
		book.Entries = append(book.Entries, Entry{Seq: book.Last, Notice: n, Left: slices.Clone(book.Wants.Receivers)})
		surplus = book.trim()
	})
	if err != nil {
		return err
	}
	o.lost(surplus)
	o.nudge()
	return nil
}

// want says whether a notice is wanted; a recovery is at least a success, and a
// rollback after a failure at least a failure.
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

// DriftOver says that there is no drift: the next one is news, even the same.
func (o *Outbox) DriftOver() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.book.Told.Drift == "" {
		return nil
	}
	return o.save(func(book *Book) { book.Told.Drift = "" })
}

// Nudge makes an attempt with all who wait because of trouble: something may be
// better now.
func (o *Outbox) Nudge(kind Kind) {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.waits, func(r Receiver, _ wait) bool { return r.Kind == kind })
	o.nudge()
}

func (o *Outbox) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// save changes the book, in the store first.
func (o *Outbox) save(change func(book *Book)) error {
	book := o.book
	book.Entries, book.Sent, book.Refused = slices.Clone(book.Entries), maps.Clone(book.Sent), maps.Clone(book.Refused)
	if book.Sent == nil {
		book.Sent = map[string]Sent{}
	}
	if book.Refused == nil {
		book.Refused = map[string]Refusal{}
	}
	change(&book)
	if err := o.store.SaveNotices(&book); err != nil {
		return fmt.Errorf("save notices: %w", err)
	}
	o.book = book
	return nil
}

// strike takes a receiver from the entries of some numbers, or from all when
// seqs is nil, and drops the entries that nobody is left of.
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

// trim drops the oldest entries beyond what is kept, and gives them.
func (b *Book) trim() []Entry {
	surplus := max(len(b.Entries)-mostEntries, 0)
	dropped := b.Entries[:surplus]
	b.Entries = b.Entries[surplus:]
	b.Dropped += surplus
	return dropped
}

// lost says which entries were dropped.
func (o *Outbox) lost(entries []Entry) {
	for _, entry := range entries {
		for _, receiver := range entry.Left {
			o.count(receiver.Kind, "dropped")
			o.log.Warn("notice dropped", "reason", "too many wait", "receiver", receiver.String(), "notice", title(&entry.Notice), "of", entry.Notice.Time)
		}
	}
}

// Run delivers until ctx ends, whatever happens, and returns ctx's error.
func (o *Outbox) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		o.rest(ctx, o.round(ctx))
	}
	return ctx.Err()
}

// Flush delivers until nothing is left, ctx ends, or all that is left has failed
// a few times or has to wait for others to be read.
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
		o.rest(ctx, next)
	}
}

// stuck says that nothing of what is left will go out soon.
func (o *Outbox) stuck(health *Health) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !slices.ContainsFunc(health.Receivers, func(c Condition) bool {
		full := len(recent(o.book.Sent[c.String()], time.Now())) >= mostSent
		return c.Waiting > 0 && !full && o.waits[c.Receiver].tries < flushTries
	})
}

// rest waits for d, for something new or for the end.
func (o *Outbox) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.wake:
	case <-ctx.Done():
	}
}
