package anchor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
)

// Place keeps anchors outside of the node.
type Place interface {
	String() string
	// Put keeps an anchor. With again, an earlier Put may have kept it without an answer.
	Put(ctx context.Context, a Anchor, again bool) error
}

// Store persists the book. SaveAnchors is durable when it returns.
type Store interface {
	Anchors() (Book, error)
	SaveAnchors(book Book) error
}

// Book is what is known of each place, by its name. The heads that wait are not in it: they
// are the log's own.
type Book struct {
	Kept  map[string]Mark `json:"kept,omitempty"`  // the last anchor that the place has
	Tried map[string]Mark `json:"tried,omitempty"` // an anchor that it may have
}

// Options has the dependencies of an outbox.
type Options struct {
	Node   string // environment/node
	Places []Place
	Store  Store
	Head   func() audit.Head // the audit log's
	Log    *slog.Logger
	Random backoff.Random // for the jitter of waits; may be nil
}

// Outbox puts the head of the log into each place, once it moved. Of several heads that
// could not be put, the last one is enough: its hash covers the others.
type Outbox struct {
	use  Options
	wake backoff.Bell

	mu    sync.Mutex
	book  Book
	waits map[string]backoff.Wait // by place
	state map[string]Health
}

// Health is the state of one place in `agent status`.
type Health struct {
	Place string    `json:"place"`
	Entry uint64    `json:"entry,omitempty"` // that was anchored last
	At    time.Time `json:"at,omitzero"`     // when, since this process runs
	Left  int       `json:"left,omitempty"`  // entries of the log after it
	Error string    `json:"error,omitempty"` // empty without a failure
	Hint  string    `json:"hint,omitempty"`  // for the failure
	Since time.Time `json:"since,omitzero"`  // the start of the failure
}

// Left gives how many entries have no anchor yet, by the places.
func Left(all []Health) map[string]int {
	left := map[string]int{}
	for _, one := range all {
		left[one.Place] = one.Left
	}
	return left
}

// flushTries is how often Flush tries each place.
const flushTries = 3

// longestRest bounds the rest without news.
const longestRest = time.Hour

// NewOutbox makes an outbox with the book of the store. Only Run and Flush put anchors; one
// of them at a time.
func NewOutbox(o Options) (*Outbox, error) {
	book, err := o.Store.Anchors()
	if err != nil {
		return nil, fmt.Errorf("read anchors of the audit log: %w", err)
	}
	if book.Kept == nil {
		book.Kept = map[string]Mark{}
	}
	if book.Tried == nil {
		book.Tried = map[string]Mark{}
	}
	return &Outbox{use: o, wake: backoff.NewBell(), book: book, waits: map[string]backoff.Wait{}, state: map[string]Health{}}, nil
}

// Moved says that the log may have a new head. It does not wait.
func (o *Outbox) Moved() { o.wake.Ring() }

// Run puts anchors until ctx ends, and returns ctx's error.
func (o *Outbox) Run(ctx context.Context) error { return o.wake.Loop(ctx, o.round) }

// Flush tries a few times to put the head into all places.
func (o *Outbox) Flush(ctx context.Context) error {
	for range flushTries {
		next := o.round(ctx)
		if next == longestRest || ctx.Err() != nil {
			break
		}
		o.wake.Rest(ctx, next)
	}
	var faults []error
	for _, one := range o.Health() {
		if one.Left > 0 {
			faults = append(faults, fault.New(fault.Place{}, one.Hint, "anchor the audit log in %s: %s", one.Place, cmp.Or(one.Error, "the time was too short")))
		}
	}
	return errors.Join(faults...)
}

// Health gives the state of each place, in the order of the options.
func (o *Outbox) Health() []Health {
	head := o.use.Head()
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]Health, 0, len(o.use.Places))
	for _, place := range o.use.Places {
		one := o.state[place.String()]
		one.Place, one.Entry = place.String(), o.book.Kept[place.String()].Seq
		if kept := o.book.Kept[place.String()]; kept != markOf(head) {
			one.Left = max(1, int(head.Seq)-int(kept.Seq)) //nolint:gosec // numbers of entries
		}
		all = append(all, one)
	}
	return all
}

// round puts the head into each place that is due, and returns the time until the next one.
func (o *Outbox) round(ctx context.Context) time.Duration {
	next := longestRest
	for _, place := range o.use.Places {
		if wait := time.Until(o.waits[place.String()].Until); wait > 0 {
			next = min(next, wait)
			continue
		}
		if err := o.put(ctx, place); err != nil && ctx.Err() == nil {
			o.failed(place, err)
			next = min(next, time.Until(o.waits[place.String()].Until))
		}
	}
	return next
}

// put puts the head of the log into a place that does not have it. What the place may have
// without an answer is settled first, because the next anchor names the one before it.
func (o *Outbox) put(ctx context.Context, place Place) error {
	name := place.String()
	if tried, doubtful := o.book.Tried[name]; doubtful {
		if err := o.keep(ctx, place, tried, true); err != nil {
			return err
		}
	}
	mark := markOf(o.use.Head())
	if mark == o.book.Kept[name] || mark.Seq == 0 {
		return nil
	}
	if err := o.save(func(book Book) { book.Tried[name] = mark }); err != nil {
		return err
	}
	return o.keep(ctx, place, mark, false)
}

// keep puts one anchor, and notes that the place has it.
func (o *Outbox) keep(ctx context.Context, place Place, mark Mark, again bool) error {
	name := place.String()
	anchor := Anchor{Node: o.use.Node, Seq: mark.Seq, Hash: mark.Hash, After: o.book.Kept[name].Seq}
	if err := place.Put(ctx, anchor, again); err != nil {
		return err
	}
	if err := o.save(func(book Book) { book.Kept[name] = mark; delete(book.Tried, name) }); err != nil {
		return err
	}
	delete(o.waits, name)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state[name] = Health{At: time.Now()}
	o.use.Log.Info("audit log anchored", "place", name, "entry", mark.Seq)
	return nil
}

// save changes the book, on disk first: nothing is sent that a restart would not know of.
func (o *Outbox) save(change func(Book)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	changed := Book{Kept: maps.Clone(o.book.Kept), Tried: maps.Clone(o.book.Tried)}
	change(changed)
	if err := o.use.Store.SaveAnchors(changed); err != nil {
		return fmt.Errorf("save anchors of the audit log: %w", err)
	}
	o.book = changed
	return nil
}

func (o *Outbox) failed(place Place, err error) {
	name := place.String()
	o.waits[name] = o.waits[name].After(gitlab.AskedToWait(err), o.use.Random)
	o.use.Log.Warn("audit log not anchored", "place", name, "attempt", o.waits[name].Tries, "next", o.waits[name].Until, "error", err, "hint", fault.Hint(err))
	o.mu.Lock()
	defer o.mu.Unlock()
	state := o.state[name]
	if state.Error == "" {
		state.Since = time.Now()
	}
	state.Error, state.Hint = err.Error(), fault.Hint(err)
	o.state[name] = state
}
