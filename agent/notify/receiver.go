package notify

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/privatefile"
)

// Kind is a kind of receiver.
type Kind string

// The kinds of receiver.
const (
	KindSlack     Kind = "slack"
	KindEmail     Kind = "email"
	KindPagerDuty Kind = "pagerduty"
	KindTeams     Kind = "teams"
	KindWebhook   Kind = "webhook"
)

// OfNode is the address of receivers that the node's settings alone know.
const OfNode = "of the node"

// hears reports whether receivers of the kind are sent a notice: PagerDuty wakes people for
// what is broken, which a rollback by a user is not, and hears when that is over. failing says
// that a rollout has failed since the last good one: healthy services do not end that.
func (k Kind) hears(n *Notice, failing bool) bool {
	if k != KindPagerDuty {
		return true
	}
	over := n.Event == Recovery || n.Event == Success
	return n.Event == Failure || n.Event == Rollback && n.Failed || over && (n.Health == "" || !failing)
}

// Receiver is a receiver of messages: a channel, or an e-mail address.
type Receiver struct {
	Kind    Kind   `json:"kind"`
	Address string `json:"address"`
}

func (r Receiver) String() string { return string(r.Kind) + " " + r.Address }

func compareReceivers(a, b Receiver) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Address, b.Address))
}

// Sender sends a message to a receiver of its kind once. Its errors contain no secrets.
type Sender interface {
	Send(ctx context.Context, to Receiver, m Message) error
}

// refusal is an error that says how the outbox reacts.
type refusal struct {
	error
	permanent bool          // every retry of this message would be refused
	after     time.Duration // the wait that the receiver asked for, or 0
}

func (r *refusal) Unwrap() error { return r.error }

func permanent(err error) error { return &refusal{error: err, permanent: true} }

// judge returns how the outbox reacts to an error.
func judge(err error) (permanent bool, after time.Duration) {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused.permanent, refused.after
	}
	return false, 0
}

const maxSecretFile = 4096

// readSecret reads a file with one line of printable text. what names the text in errors.
func readSecret(path, what string) (string, error) {
	content, err := privatefile.Read(path, "the file with "+what, nil)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(content), "\r\n")
	if len(text) > maxSecretFile || strings.ContainsFunc(text, unicode.IsControl) {
		return "", fault.New(fault.Place{File: path}, "write only "+what+" into the file, on one line", "the file does not contain %s", what)
	}
	return text, nil
}
