// Package agent sequences the stages: it takes a schedule and triggers, runs one
// reconcile after another, and gives state, status, metrics and reports. It holds no
// stage logic. It guarantees that every step is in the state file before it is taken, so
// that an agent that is killed at any point continues to the same end.
package agent
