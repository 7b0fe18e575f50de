package gitlab

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
)

const (
	authWait    = time.Minute
	tokenGlance = 2 * time.Second // the interval of checks for a new token file
	longestRest = 12 * time.Hour  // without a report
)

// round delivers all due reports. It returns the time until the next round, and the number
// of reports that are left.
func (o *Outbox) round(ctx context.Context) (next time.Duration, left int) {
	for {
		entries, err := o.store.Entries()
		if err != nil {
			o.log.Error("reports not read", "error", err)
			o.failed(err)
			return backoff.Longest, 1
		}
		if ctx.Err() != nil {
			return 0, len(entries)
		}
		entry, next := o.due(entries, time.Now())
		if entry == nil {
			return next, len(entries)
		}
		o.deliver(ctx, *entry)
	}
}

// due returns the first report that can be sent now: the oldest report of a lane without a
// wait. If there is none, it returns the time until the next one.
func (o *Outbox) due(entries []Entry, now time.Time) (*Entry, time.Duration) {
	if o.pause.auth && o.client.token.fingerprint() != o.pause.token {
		o.pause = pause{}
	}
	if paused := o.pause.wait.Until.Sub(now); paused > 0 {
		if o.pause.auth {
			paused = min(paused, tokenGlance)
		}
		return nil, paused
	}
	next := longestRest
	seen := map[string]bool{}
	for i := range entries {
		lane := entries[i].Report.lane()
		if seen[lane] {
			continue
		}
		seen[lane] = true
		waiting := max(o.waits[lane].Until.Sub(now), o.cutOff(&entries[i]).Add(arrival).Sub(now))
		if waiting <= 0 {
			return &entries[i], 0
		}
		next = min(next, waiting)
	}
	return nil, next
}

func (o *Outbox) deliver(ctx context.Context, entry Entry) {
	trail, err := o.store.Trail(entry.Report)
	if err != nil {
		o.putOff(entry, asError(err))
		return
	}
	posted, err := o.send(ctx, &entry, trail)
	if err == nil {
		err = o.linkEnvironment(ctx, entry.Report, posted)
	}
	switch refused := asError(err); {
	case err == nil:
		trail.PipelineID, trail.StatusID = posted.PipelineID, posted.ID
		trail.Environment, trail.Number = posted.environment, posted.number
		o.settle(entry, trail, nil)
	case ctx.Err() != nil && !entry.Attempted: // stopped after a definite refusal
	case ctx.Err() != nil: // stopped: the entry stays attempted
		entry.CutOff = time.Now()
		if err := o.store.Save(&entry); err != nil {
			o.log.Warn("cannot save that a report was cut off", "revision", entry.Report.Commit, "error", err)
		}
	case refused.final(entry.Report):
		o.settle(entry, trail, refused)
	case refused.Kind == KindAuth:
		o.halt(err)
	case refused.Status == http.StatusTooManyRequests:
		o.slowDown(refused)
	default:
		o.putOff(entry, refused)
	}
}

// send posts the report once. If an earlier answer was lost, it first looks for the result.
func (o *Outbox) send(ctx context.Context, entry *Entry, trail Trail) (Posted, error) {
	o.sent[entry.Seq] = true
	if entry.Attempted {
		posted, there, err := latestStatus(ctx, o.client, entry.Report, entry.Enqueued)
		if err != nil || there && reached(entry.Report.State, posted, trail) {
			return posted, err
		}
	} else {
		entry.Attempted = true
		if err := o.store.Save(entry); err != nil {
			return Posted{}, err
		}
	}
	ctx, cancel := lingering(ctx)
	defer cancel()
	posted, err := o.post(ctx, entry.Report, trail)
	if errors.Is(err, errTransition) && !entry.Report.State.Finished() { // it has this state or a later one
		found, ok, err := latestStatus(ctx, o.client, entry.Report, entry.Enqueued)
		if err == nil && !ok {
			found = Posted{ID: trail.StatusID, PipelineID: trail.PipelineID}
		}
		return found, err
	}
	if asError(err).definite() {
		entry.Attempted, entry.CutOff = false, time.Time{}
		return posted, errors.Join(err, o.store.Save(entry))
	}
	return posted, err
}

// post sends a report to where the trail leads.
func (o *Outbox) post(ctx context.Context, r Report, trail Trail) (Posted, error) {
	if r.Deployment {
		return postDeployment(ctx, o.client, r, trail.running())
	}
	if o.Link != nil {
		r.Target = cmp.Or(o.Link(ctx, r), r.Target)
	}
	posted, err := o.client.Post(ctx, r, trail.PipelineID)
	if trail.PipelineID != 0 && asError(err).missing() {
		posted, err = o.client.Post(ctx, r, 0) // the pipeline no longer exists
	}
	return posted, err
}

// stopGrace is how long a post that is on its way may go on after the agent was told to
// stop. The agent itself has four seconds to end, in which it also records that a post was cut off.
const stopGrace = 2 * time.Second

// lingering gives a context that ends stopGrace after ctx: a post that is cut off leaves it
// unknown whether GitLab has it.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancel) })
	return longer, func() { stop(); cancel() }
}

// reached reports whether the newest entry in GitLab shows that a report with the state
// want has arrived: the entry is newer than the trail, or it is the unfinished entry of
// the trail; and it has the state, or a later one.
func reached(want State, newest Posted, trail Trail) bool {
	fresh := newest.ID > trail.StatusID
	open := newest.ID == trail.StatusID && !trail.Last.State.Finished() && trail.Refused == ""
	if !fresh && !open {
		return false
	}
	if want.Finished() {
		return newest.State == want
	}
	return want == Pending || newest.State != Pending
}

// settle removes an entry that GitLab has accepted or permanently refused.
func (o *Outbox) settle(entry Entry, trail Trail, refused *Error) {
	commit := entry.Report.Commit
	now := time.Now()
	trail.Last, trail.Refused, trail.Updated = entry.Report, "", now
	if refused != nil {
		trail.Refused = refused.Error()
	}
	o.mu.Lock()
	err := o.store.Settle(entry.Seq, entry.Report, trail)
	o.mu.Unlock()
	if err != nil {
		o.putOff(entry, asError(err)) // it stays attempted, so that its result will be found
		return
	}
	delete(o.waits, entry.Report.lane())
	delete(o.sent, entry.Seq)
	o.recovered()
	o.mu.Lock()
	defer o.mu.Unlock()
	if refused != nil {
		o.log.Warn("report refused", "revision", commit, "state", entry.Report.State, "error", refused, "hint", fault.Hint(refused))
		o.health.fail(refused)
		o.health.Refused = &Refusal{Report: entry.Report, Reason: trail.Refused, Time: now}
		return
	}
	o.log.Info("report delivered", "revision", commit, "state", entry.Report.State, "pipeline", trail.PipelineID)
	o.health.LastDelivered = now
	if o.Delivered != nil {
		o.Delivered(entry.Report)
	}
}

// putOff delays the reports of the entry's lane.
func (o *Outbox) putOff(entry Entry, err *Error) {
	lane := entry.Report.lane()
	next := o.waits[lane].After(err.RetryAfter, o.Random)
	o.waits[lane] = next
	o.log.Warn("report not delivered", "revision", entry.Report.Commit, "state", entry.Report.State,
		"attempt", next.Tries, "next", next.Until, "error", err, "hint", fault.Hint(err))
	o.failed(err)
}

// slowDown delays all reports, because GitLab counts the requests of all commits.
func (o *Outbox) slowDown(err *Error) {
	o.pause.wait = o.pause.wait.After(err.RetryAfter, o.Random)
	o.log.Warn("report delivery slowed down", "next", o.pause.wait.Until, "error", err)
	o.failed(err)
}

// halt stops all reports until the operator corrects the token.
func (o *Outbox) halt(err error) {
	o.pause = pause{
		wait:  backoff.Wait{Until: time.Now().Add(authWait)},
		auth:  true,
		token: o.client.token.fingerprint(),
	}
	o.log.Warn("report delivery stopped", "next", o.pause.wait.Until, "error", err, "hint", fault.Hint(err))
	o.failed(err)
}
