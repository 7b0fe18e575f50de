// Package notify sends notices of rollouts to users: from notices it makes messages to a
// Slack-compatible webhook, PagerDuty, Teams, any URL, and e-mail addresses. It guarantees that it keeps a notice
// until each receiver has accepted or permanently refused it, up to 100 notices, and that
// no receiver delays another one or the caller.
package notify
