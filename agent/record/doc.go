// Package record defines what the agent records of its work: the syncs of a stack, with
// their states, gates, approvals and rollbacks, and the good states that a rollback can
// return to. It decides nothing else and does no I/O.
//
// Sync.Apply is the only code that assigns a sync's state. It follows the table in
// machine.go, of which docs/states.md is generated.
package record
