package notify

import (
	"errors"
	"time"
)

// Composed gives the message of notices in its forms.
func Composed(notices []Notice) (title, text, slack string) {
	m := compose(notices)
	return m.Title, m.text(), slackText(&m)
}

// Compose makes a message of notices.
func Compose(notices ...Notice) Message {
	m := compose(notices)
	m.ID = "coin-agent.test"
	return m
}

// Permanent marks an error as refused for good.
func Permanent(err error) error { return permanent(err) }

// After is an error of a receiver that asks to wait.
func After(err error, wait time.Duration) error { return &refusal{error: err, after: wait} }

// Asks says what an error asks of the outbox.
func Asks(err error) (permanent bool, after time.Duration) {
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.permanent, refused.after
	}
	return false, 0
}
