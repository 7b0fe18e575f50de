package journal

import (
	"fmt"

	"coin.internal/coin-agent/agent/audit"
)

// heads keeps the head of the audit log in the state file.
type heads interface{ SaveAuditHead() error }

// Notes writes the entries that belong to no running attempt at a stack.
type Notes struct {
	Stack string // "" for the only one of the node
	Log   *audit.Log
	Heads heads
	Moved func() // has a new head of the log anchored
}

// Add appends entries to the audit log, and has the state file remember them.
func (n *Notes) Add(entries ...audit.Entry) error {
	for i := range entries {
		entries[i].Stack = n.Stack
	}
	if err := n.Log.Append(entries...); err != nil {
		return err
	}
	if err := n.Heads.SaveAuditHead(); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	n.Moved()
	return nil
}
