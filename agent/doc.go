// Package agent sequences the stages: it takes a schedule and triggers, runs one
// reconcile after another, and gives state, status, metrics and reports. It holds
// no stage logic, and guarantees that every step is in the state file before it
// is taken, so that an agent killed at any point carries on to the same end.
package agent
