// Package removal removes from Swarm a stack that was taken off the list of its node, and whose
// removal a user has approved. It gives what keeps the removal from being complete. It guarantees
// that each removal is in the audit log before it is made; what is cut off goes on later.
package removal

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/deploy"
	gitsync "coin.internal/coin-agent/sync"
)

// engine is the Swarm that the stack runs on.
type engine interface {
	RemoveStack(ctx context.Context, what deploy.Departure, note func(deploy.Event) error) (kept, busy []string, err error)
}

// records are the records of the stack.
type records interface {
	SaveRemoved(sync *record.Sync) error
}

// Remover removes one stack. All of its parts are required.
type Remover struct {
	Engine  engine
	Owner   string                                          // <environment>/<node>
	Others  func(now time.Time) ([]record.GoodState, error) // of the node's other stacks
	Board   *board.Board
	Records records
	Note    func(...audit.Entry) error // writes to the audit log
	Log     *slog.Logger
}

// Remove removes the stack. left says what is in use; nothing is left to do if that is empty.
// rest says that all else is removed: other services or good states use what is left, or this agent
// did not make it.
func (r Remover) Remove(ctx context.Context, one record.LeftStack) (left []string, rest bool, err error) {
	entry := audit.Entry{Actor: audit.Agent(), Action: audit.Remove, Kind: audit.Stack, Name: one.Stack, Revision: one.Commit, Outcome: audit.Started}
	if one.Consent.Actor != nil {
		entry.Actor = *one.Consent.Actor
	}
	entry.Detail = "taken off the list; approved: " + one.Consent.Reason
	if len(one.Kept) == 0 {
		if err := r.Note(entry); err != nil {
			return nil, false, err
		}
	}
	good, err := r.Others(time.Now())
	if err != nil {
		return nil, false, fmt.Errorf("read good states of the other stacks: %w", err)
	}
	what := deploy.Departure{Stack: one.Stack, Owner: r.Owner, Others: inventory.GoodStates(good)}
	kept, busy, err := r.Engine.RemoveStack(ctx, what, func(event deploy.Event) error { return r.step(entry, one, event) })
	if err != nil || len(busy) > 0 {
		return append(busy, kept...), one.Rest, err
	}
	if one.Rest && len(kept) > 0 {
		return kept, true, nil
	}
	if err := r.removed(one); err != nil {
		return nil, false, err
	}
	entry.Outcome, entry.Detail = audit.Succeeded, "removed; its volumes stay"
	if one.Rest {
		entry.Detail = "what was left is removed, too"
	} else if len(kept) > 0 {
		entry.Detail += "; these stay: " + strings.Join(kept, "; ")
	}
	if err := r.Note(entry); err != nil {
		return nil, false, err
	}
	r.Log.Info("removed a stack that was taken off the list", "stack", one.Stack, "revision", record.Short(one.Commit), "stays", strings.Join(kept, "; "))
	return kept, len(kept) > 0, nil
}

// step notes the removal of one object.
func (r Remover) step(entry audit.Entry, one record.LeftStack, event deploy.Event) error {
	entry.Kind, entry.Name, entry.Detail = audit.Kind(event.Step.Kind), event.Step.Name, "of the stack "+one.Stack
	if event.Done {
		entry.Ended(event.Err)
	}
	return r.Note(entry)
}

// removed records that nothing of the stack runs: should it be listed again, it is rolled out.
func (r Remover) removed(one record.LeftStack) error {
	v := r.Board.Snapshot()
	if v.Last == nil || v.Deployed == nil {
		return nil
	}
	now := time.Now()
	sync, err := rollout.NewSync(gitsync.Revision{Commit: one.Commit, Ref: v.Last.Ref}, record.OnRequest, record.Begin, now)
	if err == nil {
		err = sync.Apply(record.Supersede, now)
	}
	if err != nil {
		return err
	}
	sync.Stack, sync.Summary = one.Stack, "the stack was taken off the list and removed"
	if one.Consent.Actor != nil {
		sync.Actor = *one.Consent.Actor
	}
	if err := r.Records.SaveRemoved(sync); err != nil {
		return fmt.Errorf("save the removal: %w", err)
	}
	return r.Board.Recall()
}
