package events

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kept is how many events a ring has.
const Kept = 1000

// Ring has the last events. Its methods may be called from many goroutines; a nil Ring
// has none and takes none.
type Ring struct {
	epoch string // of this process: IDs of another one name other events

	mu     sync.Mutex
	events []Event
	texts  texts  // of the events
	last   uint64 // the number of the newest event
	more   chan struct{}
}

// New makes a ring, whose first event says that the agent has started.
func New() *Ring {
	epoch := make([]byte, 4)
	_, _ = rand.Read(epoch) // never returns an error
	r := &Ring{epoch: hex.EncodeToString(epoch), more: make(chan struct{})}
	r.Publish(Event{Kind: Restarted, Text: "the agent has started"})
	return r
}

// Publish adds an event, and sets its ID and, unless it has one, its time.
func (r *Ring) Publish(event Event) {
	if r == nil {
		return
	}
	event = event.bounded()
	if event.At.IsZero() {
		event.At = time.Now().UTC()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	event.ID = r.epoch + "-" + strconv.FormatUint(r.last, 10)
	for _, text := range []*string{&event.ID, &event.Stack, &event.Commit, &event.Service, &event.State, &event.Text} {
		*text = r.texts.keep(*text)
	}
	if n := len(r.events); n > 0 && event.supersedes(r.events[n-1]) {
		r.events = slices.Delete(r.events, n-1, n)
	}
	if len(r.events) == Kept {
		r.events = slices.Delete(r.events, 0, 1)
	}
	r.events = append(r.events, event)
	close(r.more)
	r.more = make(chan struct{})
}

// Batch is what a reader gets at once.
type Batch struct {
	Events []Event         `json:"events"`           // the oldest first
	Missed bool            `json:"missed,omitempty"` // events between the reader's last one and the first of these are lost
	More   <-chan struct{} `json:"-"`                // closed when there is another event
}

// Since gives the events after the one of an ID; all for "". If the ring does not have
// that event any more, or the agent was restarted since, it gives all, and Missed.
func (r *Ring) Since(id string) Batch {
	if r == nil {
		return Batch{Events: []Event{}}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	batch := Batch{Events: slices.Clone(r.events), More: r.more}
	if id == "" {
		return batch
	}
	after, known := r.number(id)
	if !known {
		batch.Missed = true
		return batch
	}
	at, found := slices.BinarySearchFunc(batch.Events, after, func(e Event, n uint64) int {
		number, _ := r.number(e.ID)
		switch {
		case number < n:
			return -1
		case number > n:
			return 1
		}
		return 0
	})
	if found {
		at++
	} else if first, _ := r.number(batch.Events[0].ID); at == 0 && first > after+1 {
		batch.Missed = true // it was dropped, and others after it
	}
	batch.Events = batch.Events[at:]
	return batch
}

// number gives the number of an event's ID, and whether it is one of this ring's.
func (r *Ring) number(id string) (uint64, bool) {
	epoch, text, _ := strings.Cut(id, "-")
	number, err := strconv.ParseUint(text, 10, 64)
	return number, err == nil && epoch == r.epoch && number <= r.last
}
