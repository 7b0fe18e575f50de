package notify

import "time"

// Composed returns the message of notices in its formats.
func Composed(notices []Notice) (title, text, slack string) {
	m := compose(notices)
	return m.Title, m.Text, slackText(&m)
}

// Compose makes a message from notices.
func Compose(notices ...Notice) Message {
	m := compose(notices)
	m.ID = "coin-agent.test"
	return m
}

// Permanent marks an error as a permanent refusal.
func Permanent(err error) error { return permanent(err) }

// After returns an error of a receiver that asks for a wait.
func After(err error, wait time.Duration) error { return &refusal{error: err, after: wait} }

// Asks returns how the outbox reacts to an error.
func Asks(err error) (permanent bool, after time.Duration) { return judge(err) }
