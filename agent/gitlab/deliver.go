package gitlab

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

const (
	firstWait    = time.Second
	slowestWait  = 5 * time.Minute
	authWait     = time.Minute
	tokenGlance  = 2 * time.Second // how soon a replaced token file is seen
	tokenRefresh = 12 * time.Hour  // how old the known expiry may be
)

// round delivers all that is due and says when to look again, and how many
// reports are left.
func (o *Outbox) round(ctx context.Context) (next time.Duration, left int) {
	o.delivering.Lock()
	defer o.delivering.Unlock()
	for {
		entries, err := o.store.Entries()
		if err != nil {
			o.log.Error("reports not read", "error", err)
			o.trouble(err)
			return slowestWait, 1
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

// due picks the first report that may go now: the oldest of its commit, of a
// commit that is not waiting. Where there is none it says when there may be.
func (o *Outbox) due(entries []Entry, now time.Time) (*Entry, time.Duration) {
	if o.pause.auth && o.client.token.fingerprint() != o.pause.token {
		o.pause, o.askToken = pause{}, time.Time{}
	}
	if paused := o.pause.until.Sub(now); paused > 0 {
		if o.pause.auth {
			paused = min(paused, tokenGlance)
		}
		return nil, paused
	}
	next := tokenRefresh
	seen := map[string]bool{}
	for i := range entries {
		commit := entries[i].Report.Commit
		if seen[commit] {
			continue
		}
		seen[commit] = true
		waiting := o.waits[commit].until.Sub(now)
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
		o.putOff(entry, err)
		return
	}
	posted, err := o.send(ctx, &entry, trail)
	var refused *Error
	switch {
	case err == nil:
		trail.PipelineID, trail.StatusID = posted.PipelineID, posted.ID
		o.settle(entry, trail, nil)
	case ctx.Err() != nil: // stopped in the middle: the entry stays as attempted
	case errors.As(err, &refused) && refused.Kind == KindPermanent:
		o.settle(entry, trail, refused)
	case errors.As(err, &refused) && refused.Kind == KindAuth:
		o.halt(err)
	case errors.As(err, &refused) && refused.Status == http.StatusTooManyRequests:
		o.slowDown(refused)
	default:
		o.putOff(entry, err)
	}
}

// send posts the report once. One whose answer was lost is looked for first.
func (o *Outbox) send(ctx context.Context, entry *Entry, trail Trail) (Posted, error) {
	if entry.Attempted {
		posted, there, err := o.find(ctx, entry.Report, trail)
		if err != nil || there {
			return posted, err
		}
	} else {
		entry.Attempted = true
		if err := o.store.Save(entry); err != nil {
			return Posted{}, err
		}
	}
	posted, err := o.client.Post(ctx, entry.Report, trail.PipelineID)
	var refused *Error
	if trail.PipelineID != 0 && errors.As(err, &refused) && refused.Status == http.StatusNotFound && refused.Kind == KindPermanent {
		posted, err = o.client.Post(ctx, entry.Report, 0) // that pipeline is gone
	}
	if errors.Is(err, errTransition) && !entry.Report.State.finished() {
		return o.standing(ctx, entry.Report, trail)
	}
	if errors.As(err, &refused) && refused.definite() {
		entry.Attempted = false
		return posted, errors.Join(err, o.store.Save(entry))
	}
	return posted, err
}

// find looks for the entry that a report without an answer may have made.
func (o *Outbox) find(ctx context.Context, r Report, trail Trail) (Posted, bool, error) {
	user, err := o.client.userID(ctx)
	if err != nil {
		return Posted{}, false, err
	}
	found, ok, err := o.client.latest(ctx, r, user)
	if err != nil {
		return Posted{}, false, err
	}
	return found, ok && reached(r.State, found, trail), nil
}

// reached says whether GitLab's newest entry shows that a report of state want
// has arrived: it is newer than what the trail knows, or is that and was still
// open; and it has the state, or has gone past it.
func reached(want State, newest Posted, trail Trail) bool {
	fresh := newest.ID > trail.StatusID
	open := newest.ID == trail.StatusID && !trail.Last.State.finished()
	if !fresh && !open {
		return false
	}
	if want.finished() {
		return newest.State == want
	}
	return want == Pending || newest.State != Pending
}

// standing gives the entry that is already in the state that was posted, or
// past it.
func (o *Outbox) standing(ctx context.Context, r Report, trail Trail) (Posted, error) {
	user, err := o.client.userID(ctx)
	if err != nil {
		return Posted{}, err
	}
	found, ok, err := o.client.latest(ctx, r, user)
	if err != nil || ok {
		return found, err
	}
	return Posted{ID: trail.StatusID, PipelineID: trail.PipelineID}, nil
}

// settle ends an entry: GitLab has it, or has refused it for good.
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
		o.putOff(entry, err) // it stays as attempted, and will be found
		return
	}
	delete(o.waits, commit)
	o.recovered()
	if refused != nil {
		o.log.Warn("report given up", "revision", commit, "state", entry.Report.State, "error", refused, "hint", fault.Hint(refused))
		o.trouble(refused)
		o.mu.Lock()
		o.health.Refused = &Refusal{Report: entry.Report, Reason: trail.Refused, Time: now}
		o.mu.Unlock()
		return
	}
	o.log.Info("report delivered", "revision", commit, "state", entry.Report.State, "pipeline", trail.PipelineID)
	o.mu.Lock()
	o.health.LastDelivered = now
	o.mu.Unlock()
}

// putOff lets the commit of an entry wait, and no other.
func (o *Outbox) putOff(entry Entry, err error) {
	commit := entry.Report.Commit
	next := o.waits[commit].longer(err)
	o.waits[commit] = next
	o.log.Warn("report not delivered", "revision", commit, "state", entry.Report.State,
		"attempt", next.tries, "next", next.until, "error", err, "hint", fault.Hint(err))
	o.trouble(err)
}

// slowDown lets everything wait: GitLab counts the requests of all commits.
func (o *Outbox) slowDown(err error) {
	o.pause.wait = o.pause.longer(err)
	o.log.Warn("report delivery slowed down", "next", o.pause.until, "error", err)
	o.trouble(err)
}

// halt lets everything wait for the operator.
func (o *Outbox) halt(err error) {
	o.pause = pause{
		wait:  wait{until: time.Now().Add(authWait)},
		auth:  true,
		token: o.client.token.fingerprint(),
	}
	o.log.Warn("report delivery halted", "next", o.pause.until, "error", err, "hint", fault.Hint(err))
	o.trouble(err)
}

// longer doubles a wait, with jitter so that nodes do not come in step, and
// never falls short of what GitLab asked for.
func (w wait) longer(err error) wait {
	step := firstWait << min(w.tries, 9)
	step = min(step+rand.N(step/2), slowestWait)
	var refused *Error
	if errors.As(err, &refused) {
		step = max(step, refused.RetryAfter)
	}
	return wait{until: time.Now().Add(step), tries: w.tries + 1}
}

// watchToken asks GitLab about the token now and then, so that its end is known
// before it comes, and says when to ask again.
func (o *Outbox) watchToken(ctx context.Context) time.Duration {
	o.delivering.Lock()
	defer o.delivering.Unlock()
	now := time.Now()
	if ask := o.askToken.Sub(now); ask > 0 {
		return ask
	}
	if o.pause.until.After(now) {
		return tokenRefresh // the round says when the pause ends
	}
	info, err := o.client.Token(ctx)
	var refused *Error
	again := tokenRefresh
	switch {
	case err == nil:
		o.recovered()
		o.mu.Lock()
		o.health.TokenExpires = info.ExpiresAt
		o.mu.Unlock()
	case ctx.Err() != nil:
	case errors.As(err, &refused) && refused.Kind == KindAuth && refused.Status != http.StatusForbidden:
		o.halt(err)
		return tokenGlance // and ask again when the pause is over
	case errors.As(err, &refused) && refused.Kind == KindRetry:
		o.log.Debug("token not looked at", "error", err)
		again = max(slowestWait, refused.RetryAfter)
	default: // GitLab does not tell about this kind of token
	}
	o.askToken = now.Add(again)
	return again
}
