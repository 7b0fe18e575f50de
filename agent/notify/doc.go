// Package notify tells people of rollouts: it takes notices, and a
// Slack-compatible webhook and e-mail addresses get messages of them. A notice
// that was taken is kept until each receiver has it, has refused it for good, or
// a day has passed; no receiver holds up another, or the one who tells.
package notify
