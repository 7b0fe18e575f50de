package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// parcel is one message to one receiver, made from one or more entries.
type parcel struct {
	to      Receiver
	seqs    []uint64
	message Message
}

// round delivers all due messages, and returns the time until the next round. A receiver
// that does not answer delays the others by one attempt at most.
func (o *Outbox) round(ctx context.Context) time.Duration {
	for {
		due, next := o.due(time.Now())
		if len(due) == 0 || ctx.Err() != nil {
			return next
		}
		var busy sync.WaitGroup
		places := make(chan struct{}, sideBySide)
		for _, one := range due {
			busy.Go(func() {
				places <- struct{}{}
				defer func() { <-places }()
				o.deliver(ctx, one)
			})
		}
		busy.Wait()
	}
}

// due makes the messages that can be sent now, at most one for each receiver. If there is
// none, it returns the time until the next one.
func (o *Outbox) due(now time.Time) ([]parcel, time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := longestRest
	var parcels []parcel
	for _, receiver := range o.book.Wants.Receivers {
		one, notices := o.pending(receiver)
		if len(notices) == 0 {
			continue
		}
		if waiting := o.waits[receiver].Until.Sub(now); waiting > 0 {
			next = min(next, waiting)
			continue
		}
		sent := recent(o.book.Sent[receiver.String()], now)
		if len(sent) >= most(notices) {
			next = min(next, sent[0].Add(sentWindow).Sub(now))
			continue
		}
		if len(notices) <= mostSent-len(sent) { // one message for each notice, until the limit is near
			one.seqs, notices = one.seqs[:1], notices[:1]
		} else if end := slices.IndexFunc(notices, func(n Notice) bool { return n.alert() != notices[0].alert() }); end > 0 && receiver.Kind == KindPagerDuty {
			one.seqs, notices = one.seqs[:end], notices[:end] // an event is of one alert
		}
		one.message = compose(notices)
		one.message.ID = messageID(receiver, one.seqs, &notices[len(notices)-1])
		parcels = append(parcels, one)
	}
	return parcels, next
}

// pending returns the undelivered notices of a receiver, the oldest first.
func (o *Outbox) pending(receiver Receiver) (parcel, []Notice) {
	one := parcel{to: receiver}
	var notices []Notice
	for _, entry := range o.book.Entries {
		if slices.Contains(entry.Left, receiver) {
			one.seqs = append(one.seqs, entry.Seq)
			notices = append(notices, entry.Notice)
		}
	}
	return one, notices
}

// most returns how many messages a receiver gets within sentWindow while notices wait for it.
func most(notices []Notice) int {
	if slices.ContainsFunc(notices, Notice.urgent) {
		return mostSent + urgentSent
	}
	return mostSent
}

// recent returns the times within sentWindow. It ignores times in the future, which are
// from a wrong clock.
func recent(sent Sent, now time.Time) Sent {
	return slices.DeleteFunc(slices.Clone(sent), func(at time.Time) bool { return now.Before(at) || now.Sub(at) >= sentWindow })
}

// messageID returns the same ID for a message that is sent again after a lost answer, so
// that a mail program shows it once.
func messageID(to Receiver, seqs []uint64, newest *Notice) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %v %q %q %d", to, seqs, newest.Environment, newest.Node, newest.Time.UnixNano()))
	return "coin-agent." + hex.EncodeToString(sum[:16])
}

// deliver makes one attempt.
func (o *Outbox) deliver(ctx context.Context, one parcel) {
	limited, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	err := missing(one.to.Kind)
	if sender := o.use.Senders[one.to.Kind]; sender != nil {
		err = sender.Send(limited, one.to, one.message)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch permanent, after := judge(err); {
	case err == nil:
		o.settle(one, nil)
	case permanent:
		o.settle(one, err)
	case ctx.Err() != nil: // stopped: it is sent again after the next start
	default:
		o.putOff(one, err, after)
	}
}

// settle removes a message that the receiver has accepted or permanently refused.
func (o *Outbox) settle(one parcel, refused error) {
	now, name := time.Now(), one.to.String()
	err := o.save(func(book *Book) {
		book.strike(one.to, one.seqs)
		if refused != nil {
			book.Refused[name] = Refusal{Title: one.message.Title, Reason: refused.Error(), Hint: fault.Hint(refused), Time: now}
			return
		}
		delete(book.Refused, name)
		book.Sent[name] = append(recent(book.Sent[name], now), now)
		book.Titles[name] = one.message.Title
	})
	if err != nil {
		o.putOff(one, err, 0) // it is sent again
		return
	}
	delete(o.waits, one.to)
	delete(o.problems, one.to)
	if refused != nil {
		o.use.Count(one.to.Kind, "dropped")
		o.use.Log.Warn("notice refused", "receiver", name, "notice", one.message.Title, "error", refused, "hint", fault.Hint(refused), "code", fault.CodeNotice)
		return
	}
	o.use.Count(one.to.Kind, "sent")
	o.use.Log.Info("notice sent", "receiver", name, "notice", one.message.Title)
	o.use.Sent(one.to, one.message.Title)
}

// putOff delays the messages to the receiver, at least as long as it asked. It logs an error
// once, not at each attempt.
func (o *Outbox) putOff(one parcel, err error, asked time.Duration) {
	next := o.waits[one.to].After(asked, o.use.Random)
	o.waits[one.to] = next
	if errors.Is(err, errUnlearned) && next.Tries <= flushTries {
		return // after a start, the agent will soon open the node's secrets
	}
	o.use.Count(one.to.Kind, "failed")
	problem, known := o.problems[one.to]
	if !known {
		problem.Since = time.Now()
	}
	logged := problem.Error
	problem.describe(err)
	if problem.Error != logged {
		o.use.Log.Warn("notice not sent", "receiver", one.to.String(), "notice", one.message.Title,
			"next", next.Until, "error", problem.Error, "hint", problem.Hint, "code", problem.Code)
	}
	o.problems[one.to] = problem
}
