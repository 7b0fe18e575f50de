package notify

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

// Problem is the failure of the delivery to a receiver.
type Problem struct {
	Error string     `json:"error"`
	Hint  string     `json:"hint,omitempty"`
	Code  fault.Code `json:"code"`           // the class of the error
	Since time.Time  `json:"since,omitzero"` // zero before the first attempt
}

// describe notes an error.
func (p *Problem) describe(err error) {
	p.Error, p.Hint, p.Code = err.Error(), fault.Hint(err), cmp.Or(fault.CodeOf(err), fault.CodeNotice)
}

// Health is the state of the delivery in `agent status`.
type Health struct {
	Undelivered int         `json:"undelivered"` // notices that a receiver has not accepted
	Dropped     int         `json:"dropped,omitempty"`
	Receivers   []Condition `json:"receivers,omitempty"`
}

// Condition is the state of the delivery to one receiver.
type Condition struct {
	Kind     Kind      `json:"kind"`
	Address  string    `json:"address"`
	Waiting  int       `json:"waiting"`
	Held     time.Time `json:"held_until,omitzero"` // until when what waits is not sent: so many messages were sent lately
	LastSent time.Time `json:"last_sent,omitzero"`
	Last     string    `json:"last,omitempty"`    // the title of the last message that it has accepted
	Problem  *Problem  `json:"trouble,omitempty"` // the current failure
	Refused  *Refusal  `json:"refused,omitempty"` // the last refused message, if no later one was accepted
}

// String returns the kind and the address, as Receiver.String does.
func (c Condition) String() string { return c.receiver().String() }

func (c Condition) receiver() Receiver { return Receiver{Kind: c.Kind, Address: c.Address} }

// Health returns the state of the delivery, with the receivers sorted.
func (o *Outbox) Health() Health {
	o.mu.Lock()
	defer o.mu.Unlock()
	health := Health{Undelivered: len(o.book.Entries), Dropped: o.book.Dropped}
	for _, receiver := range o.book.Wants.Receivers {
		waiting, notices := o.pending(receiver)
		condition := Condition{Kind: receiver.Kind, Address: receiver.Address, Waiting: len(waiting.seqs), Last: o.book.Titles[receiver.String()]}
		if sent := o.book.Sent[receiver.String()]; len(sent) > 0 {
			condition.LastSent = sent[len(sent)-1]
			if late := recent(sent, time.Now()); condition.Waiting > 0 && len(late) >= most(notices) {
				condition.Held = late[0].Add(sentWindow)
			}
		}
		if problem, ok := o.problems[receiver]; ok {
			condition.Problem = &problem
		} else if err := o.ready(receiver.Kind); err != nil {
			problem.describe(err)
			condition.Problem = &problem
		}
		if refused, ok := o.book.Refused[receiver.String()]; ok {
			condition.Refused = &refused
		}
		health.Receivers = append(health.Receivers, condition)
	}
	return health
}

// ErrNoMailServer means that config.yml has e-mail addresses, but the agent has no mail
// server.
var ErrNoMailServer = fault.WithHint(errors.New("config.yml has e-mail addresses, but no mail server is set"),
	"set smtp_address and smtp_from in the agent's settings")

// missing returns the error that the settings do not say how receivers of a kind are reached.
func missing(kind Kind) error {
	setting, known := map[Kind]string{KindPagerDuty: "pagerduty_key_file", KindTeams: "teams_webhook_file", KindWebhook: "notify_url_file"}[kind]
	if !known {
		return ErrNoMailServer
	}
	return fault.WithHint(fmt.Errorf("config.yml names %s, but no address of it is set", kind), "set "+setting+" in the agent's settings")
}

// ready returns a missing setting that prevents the delivery.
func (o *Outbox) ready(kind Kind) error { return Ready(kind, o.use.Senders[kind]) }

// Ready returns what prevents the delivery by a sender, which is nil if the settings have none.
func Ready(kind Kind, sender Sender) error {
	switch sender := sender.(type) {
	case nil:
		return missing(kind)
	case interface{ Ready() error }:
		return sender.Ready()
	}
	return nil
}

// fault returns an error with the number of undelivered notices and the reason.
func (h *Health) fault() error {
	reason, hint := "the time was too short", "start the agent, which sends them"
	for _, one := range h.Receivers {
		if one.Problem != nil {
			reason, hint = one.String()+": "+one.Problem.Error, cmp.Or(one.Problem.Hint, hint)
			break
		}
	}
	return fault.New(fault.Place{}, hint, "%s not delivered: %s", plural.Count(h.Undelivered, "notice"), reason)
}
