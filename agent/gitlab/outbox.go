package gitlab

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// Store keeps the outbox over restarts. Each method is durable when it returns,
// and safe for concurrent use.
type Store interface {
	// Entries lists what is not delivered, in the order of Seq.
	Entries() ([]Entry, error)
	// Save writes an entry. One whose Seq is 0 is new and gets the next number,
	// which is never given twice, not even after a deletion.
	Save(entry *Entry) error
	// Settle writes the trail of a commit and ref and deletes the entry that it
	// tells of, both or neither.
	Settle(seq uint64, of Report, trail Trail) error
	// Trail reads what is remembered of a commit and ref; the zero Trail when
	// there is nothing. A store may forget those not touched for long.
	Trail(of Report) (Trail, error)
}

// Entry is one report on its way.
type Entry struct {
	Seq      uint64    `json:"seq"`
	Report   Report    `json:"report"`
	Enqueued time.Time `json:"enqueued"`

	// Attempted is set before the report is sent and taken back when GitLab
	// refuses it, so that it stands while nobody knows what became of it.
	Attempted bool `json:"attempted,omitempty"`
}

// Trail is what is remembered of a commit and ref once reports have gone out.
type Trail struct {
	PipelineID int64     `json:"pipeline_id,omitempty"` // of GitLab's first answer; sent with every later report
	StatusID   int64     `json:"status_id,omitempty"`   // of GitLab's last answer
	Last       Report    `json:"last"`                  // settled last
	Refused    string    `json:"refused,omitempty"`     // why GitLab would not have Last; empty when it has
	Updated    time.Time `json:"updated"`
}

// Health is what `agent status` and the metrics show of the delivery.
type Health struct {
	Undelivered   int       `json:"undelivered"`
	LastError     string    `json:"last_error,omitempty"` // empty while all is well
	Hint          string    `json:"hint,omitempty"`
	Since         time.Time `json:"since,omitzero"` // when the trouble began
	LastDelivered time.Time `json:"last_delivered,omitzero"`
	TokenExpires  time.Time `json:"token_expires,omitzero"` // zero when it does not, or GitLab has not told yet
	Refused       *Refusal  `json:"refused,omitempty"`      // the last report that was given up
}

// Refusal is a report that GitLab will never have, and why.
type Refusal struct {
	Report Report    `json:"report"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}

// Outbox delivers reports in order, one after another, until GitLab has them.
type Outbox struct {
	client *Client
	store  Store
	log    *slog.Logger
	wake   chan struct{}

	// delivering admits one deliverer at a time and guards what follows it.
	delivering sync.Mutex
	waits      map[string]wait // by commit
	pause      pause           // of everything
	askToken   time.Time       // when to ask about the token again

	// mu guards the health, and keeps Enqueue's look at the last report and
	// its write together.
	mu     sync.Mutex
	health Health
}

// wait is the time before the next attempt, and how many have failed.
type wait struct {
	until time.Time
	tries int
}

// pause is a wait of all commits. One for the operator to mend also ends when
// the token file changes.
type pause struct {
	wait
	auth  bool
	token [sha256.Size]byte
}

// NewOutbox makes an outbox over what the store holds. Nothing is sent before
// Run or Flush.
func NewOutbox(client *Client, store Store, log *slog.Logger) *Outbox {
	return &Outbox{
		client: client,
		store:  store,
		log:    log,
		wake:   make(chan struct{}, 1),
		waits:  map[string]wait{},
	}
}

// Enqueue takes a report; it is durable when Enqueue returns. One that tells
// nothing new is skipped: equal to the commit's last in name, state and
// description, or once more pending or running, which GitLab refuses while the
// status is, so that a new description could not be shown anyway.
func (o *Outbox) Enqueue(r Report) error {
	if err := r.check(); err != nil {
		return err
	}
	r = r.clean()
	o.mu.Lock()
	defer o.mu.Unlock()
	last, err := o.last(r)
	if err != nil {
		return fmt.Errorf("look for the last report on commit %s: %w", short(r.Commit), err)
	}
	if r.Ref == last.Ref && r.Name == last.Name && r.State == last.State && (!r.State.finished() || r.Description == last.Description) {
		return nil
	}
	if err := o.store.Save(&Entry{Report: r, Enqueued: time.Now()}); err != nil {
		return fmt.Errorf("save report on commit %s: %w", short(r.Commit), err)
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return nil
}

// last gives the report on a commit that was enqueued last.
func (o *Outbox) last(r Report) (Report, error) {
	entries, err := o.store.Entries()
	if err != nil {
		return Report{}, err
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if one := entries[i].Report; one.Commit == r.Commit && one.Name == r.Name {
			return entries[i].Report, nil
		}
	}
	trail, err := o.store.Trail(r)
	if err != nil || trail.Refused != "" {
		return Report{}, err // a refused one may be enqueued again
	}
	return trail.Last, nil
}

// Run delivers until ctx ends, whatever happens, and returns ctx's error.
func (o *Outbox) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		next, _ := o.round(ctx)
		o.rest(ctx, min(next, o.watchToken(ctx)))
	}
	return ctx.Err()
}

// Flush delivers until nothing is left, ctx ends, or GitLab refuses the token,
// which only a person can mend.
func (o *Outbox) Flush(ctx context.Context) error {
	for {
		next, left := o.round(ctx)
		if left == 0 {
			return nil
		}
		if ctx.Err() != nil || o.halted() {
			health := o.Health()
			err := fmt.Errorf("deliver reports to GitLab: %d left: %s", left, cmp.Or(health.LastError, "they had no time"))
			if ctx.Err() != nil {
				err = fmt.Errorf("%w (%w)", err, ctx.Err())
			}
			return fault.WithHint(err, health.Hint)
		}
		o.rest(ctx, next)
	}
}

// halted tells whether the delivery waits for a better token.
func (o *Outbox) halted() bool {
	o.delivering.Lock()
	defer o.delivering.Unlock()
	return o.pause.auth
}

// rest waits for d, for a new report or for the end.
func (o *Outbox) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.wake:
	case <-ctx.Done():
	}
}

// Health tells how the delivery goes.
func (o *Outbox) Health() Health {
	entries, err := o.store.Entries()
	o.mu.Lock()
	defer o.mu.Unlock()
	health := o.health
	health.Undelivered = len(entries)
	if err != nil {
		health.LastError = "read the reports: " + err.Error()
	}
	return health
}

// trouble remembers an error for the health.
func (o *Outbox) trouble(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.health.LastError == "" {
		o.health.Since = time.Now()
	}
	o.health.LastError, o.health.Hint = err.Error(), fault.Hint(err)
}

// recovered ends the trouble, unless a commit is still waiting for its turn.
func (o *Outbox) recovered() {
	o.pause = pause{}
	if len(o.waits) > 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.health.LastError, o.health.Hint, o.health.Since = "", "", time.Time{}
}
