package notify

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// Trouble is what keeps a receiver from getting its messages.
type Trouble struct {
	Error string    `json:"error"`
	Hint  string    `json:"hint,omitempty"`
	Since time.Time `json:"since,omitzero"` // zero when nothing has been tried yet
}

// Health is what `agent status` shows of the delivery.
type Health struct {
	Undelivered int         `json:"undelivered"` // notices that somebody has not got
	Dropped     int         `json:"dropped,omitempty"`
	Receivers   []Condition `json:"receivers,omitempty"`
}

// Condition is how it stands with one receiver.
type Condition struct {
	Receiver
	Waiting  int       `json:"waiting"`
	LastSent time.Time `json:"last_sent,omitzero"`
	Trouble  *Trouble  `json:"trouble,omitempty"` // now
	Refused  *Refusal  `json:"refused,omitempty"` // given up, and nothing taken since
}

// Health tells how the delivery goes, the receivers sorted.
func (o *Outbox) Health() Health {
	o.mu.Lock()
	defer o.mu.Unlock()
	health := Health{Undelivered: len(o.book.Entries), Dropped: o.book.Dropped}
	for _, receiver := range o.book.Wants.Receivers {
		condition := Condition{Receiver: receiver}
		for _, entry := range o.book.Entries {
			if slices.Contains(entry.Left, receiver) {
				condition.Waiting++
			}
		}
		if sent := o.book.Sent[receiver.String()]; len(sent) > 0 {
			condition.LastSent = sent[len(sent)-1]
		}
		if trouble, ok := o.troubles[receiver]; ok {
			condition.Trouble = &trouble
		} else if err := o.ready(receiver.Kind); err != nil {
			condition.Trouble = &Trouble{Error: err.Error(), Hint: fault.Hint(err)}
		}
		if refused, ok := o.book.Refused[receiver.String()]; ok {
			condition.Refused = &refused
		}
		health.Receivers = append(health.Receivers, condition)
	}
	return health
}

// ErrNoMailServer says that config.yml asks for e-mail and nobody can send it.
var ErrNoMailServer = fault.WithHint(errors.New("config.yml names e-mail addresses, and no mail server is set"),
	"set smtp_address and smtp_from in the agent's settings")

// ready says what is known to be missing before anything is sent.
func (o *Outbox) ready(kind Kind) error {
	switch sender := o.senders[kind].(type) {
	case nil:
		return ErrNoMailServer
	case interface{ Ready() error }:
		return sender.Ready()
	}
	return nil
}

// fault says what was not delivered, and why.
func (h *Health) fault() error {
	reason, hint := "they had no time", "they go out when the agent runs next"
	for _, one := range h.Receivers {
		if one.Trouble != nil {
			reason, hint = one.String()+": "+one.Trouble.Error, cmp.Or(one.Trouble.Hint, hint)
			break
		}
	}
	what := fmt.Sprintf("%d notices", h.Undelivered)
	if h.Undelivered == 1 {
		what = "1 notice"
	}
	return fault.New(fault.Place{}, hint, "%s not delivered: %s", what, reason)
}
