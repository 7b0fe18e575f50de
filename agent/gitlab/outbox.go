package gitlab

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
)

// Store persists the outbox. Each method is durable when it returns, and safe for
// concurrent use.
type Store interface {
	// Entries lists the undelivered reports in the order of Seq.
	Entries() ([]Entry, error)
	// Save writes an entry. A new entry, whose Seq is 0, gets the next number. Numbers
	// are never reused.
	Save(entry *Entry) error
	// Settle writes the trail of the report's commit and ref, and deletes the entry, in one
	// transaction.
	Settle(seq uint64, of Report, trail Trail) error
	// Trail reads the trail of the report's commit and ref, or returns the zero Trail. A store may
	// delete old trails.
	Trail(of Report) (Trail, error)
}

// Entry is one undelivered report.
type Entry struct {
	Seq      uint64    `json:"seq"`
	Report   Report    `json:"report"`
	Enqueued time.Time `json:"enqueued"`

	// Attempted is set before the report is sent, and reset when GitLab refuses it. While
	// it is set, the result of the report is unknown.
	Attempted bool `json:"attempted,omitempty"`

	// CutOff is when the end of the agent cut a post off: GitLab may still get it.
	CutOff time.Time `json:"cut_off,omitzero"`
}

// arrival is how long a post that was cut off may still arrive: GitLab waits up to 10 s for
// its lock. Then its result can be looked up.
const arrival = 15 * time.Second

// cutOff gives when a post of the entry was cut off; zero if none was. A process that was killed
// had no time to record it: it has ended before this one began. That counts for deployments:
// of a status, GitLab refuses the repetition that overtakes the first post.
func (o *Outbox) cutOff(entry *Entry) time.Time {
	if entry.Report.Deployment && entry.Attempted && entry.CutOff.IsZero() && !o.sent[entry.Seq] {
		return o.began
	}
	return entry.CutOff
}

// Trail is the record of the delivered reports of a commit and ref.
type Trail struct {
	PipelineID int64     `json:"pipeline_id,omitempty"` // in GitLab's first answer; sent with every later report
	StatusID   int64     `json:"status_id,omitempty"`   // in GitLab's last answer
	Last       Report    `json:"last"`                  // the last settled report
	Refused    string    `json:"refused,omitempty"`     // why GitLab refused Last, or ""
	Updated    time.Time `json:"updated"`

	// Environment is the ID of a deployment's environment, and Number the deployment's number in
	// the project: its page has them.
	Environment int64 `json:"environment,omitempty"`
	Number      int64 `json:"number,omitempty"`
}

// Health is the state of the delivery in `agent status` and the metrics.
type Health struct {
	Undelivered   int        `json:"undelivered"`
	LastError     string     `json:"last_error,omitempty"` // empty without a failure
	Hint          string     `json:"hint,omitempty"`
	Code          fault.Code `json:"code,omitempty"` // the class of the failure
	Since         time.Time  `json:"since,omitzero"` // the start of the failure
	LastDelivered time.Time  `json:"last_delivered,omitzero"`
	Refused       *Refusal   `json:"refused,omitempty"` // the last refused report
}

// fail stores an error.
func (h *Health) fail(err error) {
	if h.LastError == "" {
		h.Since = time.Now()
	}
	h.LastError, h.Hint, h.Code = err.Error(), fault.Hint(err), cmp.Or(fault.CodeOf(err), fault.CodeGitLab)
}

// Refusal is a report that GitLab permanently refused, and the reason.
type Refusal struct {
	Report Report    `json:"report"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}

// Outbox delivers reports in order until GitLab has accepted them.
type Outbox struct {
	// Random, where set before Run, gives the jitter of waits: a simulation repeats with it.
	Random backoff.Random
	// Delivered, where set before Run, is called with each report that GitLab has accepted.
	Delivered func(Report)
	// Link, where set before Run, gives the page that a status links to; "" leaves it.
	Link func(context.Context, Report) string

	client *Client
	store  Store
	log    *slog.Logger
	wake   backoff.Bell

	// Of Run or Flush, which alone delivers:
	waits map[string]backoff.Wait // by lane
	pause pause                   // of all reports
	began time.Time
	sent  map[uint64]bool // entries that this process has sent, by Seq

	// mu guards the health, and makes the read and the write in Enqueue atomic.
	mu     sync.Mutex
	health Health
}

// pause is a wait of all reports. With auth, it also ends when the token file changes.
type pause struct {
	wait  backoff.Wait
	auth  bool
	token [sha256.Size]byte
}

// NewOutbox makes an outbox from the entries of the store. Only Run and Flush send
// reports; one of them at a time.
func NewOutbox(client *Client, store Store, log *slog.Logger) *Outbox {
	return &Outbox{
		client: client,
		store:  store,
		log:    log,
		wake:   backoff.NewBell(),
		waits:  map[string]backoff.Wait{},
		began:  time.Now(),
		sent:   map[uint64]bool{},
	}
}

// Enqueue accepts a report, which is durable when Enqueue returns. It skips a report
// without news: with the name, state and description of the commit's last report, or with
// the same state pending or running, for which GitLab does not accept a new description.
func (o *Outbox) Enqueue(r Report) error {
	if err := r.check(); err != nil {
		return err
	}
	r = r.clean()
	o.mu.Lock()
	defer o.mu.Unlock()
	last, err := o.last(r)
	if err != nil {
		return fmt.Errorf("read the last report on commit %s: %w", short(r.Commit), err)
	}
	if r.Ref == last.Ref && r.Name == last.Name && r.State == last.State && (!r.State.Finished() || r.Description == last.Description) {
		return nil
	}
	if r.Deployment && r.State == Canceled && (last.State != Running || last.Ref != r.Ref) {
		return nil // nothing runs
	}
	if err := o.store.Save(&Entry{Report: r, Enqueued: time.Now()}); err != nil {
		return fmt.Errorf("save report on commit %s: %w", short(r.Commit), err)
	}
	o.wake.Ring()
	return nil
}

// Last returns the state of the last report on the commit with the report's name and ref; "" if
// there is none.
func (o *Outbox) Last(of Report) (State, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	last, err := o.last(of)
	return last.State, err
}

// last returns the last enqueued report on a commit.
func (o *Outbox) last(r Report) (Report, error) {
	entries, err := o.store.Entries()
	if err != nil {
		return Report{}, err
	}
	for _, entry := range slices.Backward(entries) {
		if one := entry.Report; one.Commit == r.Commit && one.Name == r.Name {
			return one, nil
		}
	}
	trail, err := o.store.Trail(r)
	if err != nil || trail.Refused != "" {
		return Report{}, err // a refused report may be enqueued again
	}
	return trail.Last, nil
}

// Run delivers until ctx ends, and returns ctx's error.
func (o *Outbox) Run(ctx context.Context) error {
	return o.wake.Loop(ctx, func(ctx context.Context) time.Duration {
		next, _ := o.round(ctx)
		return next
	})
}

// Flush delivers until no report is left, ctx ends, or GitLab refuses the token, which the
// operator must correct.
func (o *Outbox) Flush(ctx context.Context) error {
	for {
		next, left := o.round(ctx)
		if left == 0 {
			return nil
		}
		if ctx.Err() != nil || o.pause.auth {
			health := o.Health()
			err := fmt.Errorf("deliver reports to GitLab: %d left: %s", left, cmp.Or(health.LastError, "the time was too short"))
			if ctx.Err() != nil {
				err = fmt.Errorf("%w (%w)", err, ctx.Err())
			}
			return fault.WithHint(err, health.Hint)
		}
		o.wake.Rest(ctx, next)
	}
}

// Health returns the state of the delivery.
func (o *Outbox) Health() Health {
	entries, err := o.store.Entries()
	o.mu.Lock()
	defer o.mu.Unlock()
	health := o.health
	health.Undelivered = len(entries)
	if err != nil {
		health.LastError, health.Hint, health.Code = "read the reports: "+err.Error(), fault.Hint(err), fault.CodeState
	}
	return health
}

// failed stores an error for the health.
func (o *Outbox) failed(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.health.fail(err)
}

// recovered removes the error from the health, unless a commit still waits.
func (o *Outbox) recovered() {
	o.pause = pause{}
	if len(o.waits) > 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.health.LastError, o.health.Hint, o.health.Code, o.health.Since = "", "", "", time.Time{}
}
