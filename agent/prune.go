package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

// consent records that a user has a stack removed that was taken off the list.
func (a *Agent) consent(key record.StackKey, given *record.Approval) error {
	return a.editLeft(key, func(one *record.LeftStack) { one.Consent = given })
}

// editLeft changes what is on record of a stack that was taken off the list.
func (a *Agent) editLeft(key record.StackKey, change func(*record.LeftStack)) error {
	a.roster.edit.Lock()
	defer a.roster.edit.Unlock()
	list, stacks, left := a.roster.known()
	list.Left = slices.Clone(list.Left)
	for i := range list.Left {
		if list.Left[i].Key == key {
			change(&list.Left[i])
		}
	}
	return a.saveLeft(list, stacks, left)
}

// dropLeft forgets a stack that was removed.
func (a *Agent) dropLeft(key record.StackKey) error {
	a.roster.edit.Lock()
	defer a.roster.edit.Unlock()
	list, stacks, left := a.roster.known()
	list.Left = slices.DeleteFunc(slices.Clone(list.Left), func(one record.LeftStack) bool { return one.Key == key })
	left = slices.DeleteFunc(slices.Clone(left), func(s *stack) bool { return s.key == key })
	return a.saveLeft(list, stacks, left)
}

func (a *Agent) saveLeft(list record.StackList, stacks, left []*stack) error {
	if err := a.parts.Store.SaveStackList(list, nil); err != nil {
		return fmt.Errorf("save the list of stacks: %w", err)
	}
	a.roster.become(list, stacks, left)
	return nil
}

// settleLeft ends the syncs of stacks that were taken off the list meanwhile.
func (a *Agent) settleLeft(ctx context.Context) {
	_, _, left := a.roster.known()
	for _, s := range left {
		last := s.board.Snapshot().Last
		if !last.CarriesOn() || ctx.Err() != nil {
			continue
		}
		if err := s.rollouts.Abandon(s.board.Snapshot().Base(), "superseded: the stack was taken off the list"); err != nil {
			s.log.Warn("cannot end the sync of a stack that was taken off the list", "error", err.Error())
			continue
		}
		s.rollouts.RestoreCron(ctx, s.board.Snapshot().Last)
	}
}

// prune removes the stacks that were taken off the list, and whose removal a user has approved.
// One that came later in the list goes first, also if its removal is not approved yet.
func (a *Agent) prune(ctx context.Context) {
	list, _, left := a.roster.known()
	for _, one := range list.Left {
		s := find(left, one.Key)
		if s == nil || one.Consent == nil || a.lists(one.Stack) || after(list, one.Key) != "" || s.board.Snapshot().Paused() != nil || ctx.Err() != nil || a.parts.Settings.Observes() {
			continue
		}
		over, err := a.remove(ctx, s, one)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("cannot remove the stack", "stack", one.Stack, "error", err.Error(), "hint", fault.Hint(err))
		}
		if err == nil && over {
			list, _, _ = a.roster.known()
		}
	}
}

// lists reports whether a stack of the list has a name in Swarm, or may have it: one that never
// ran has no name yet.
func (a *Agent) lists(name string) bool {
	return slices.ContainsFunc(a.all(), func(s *stack) bool {
		if s.name != "" {
			return s.name == name
		}
		v := s.board.Snapshot() // the commit can give the only stack another name than what runs
		return v.Last == nil || v.Last.Stack == "" || v.Last.Stack == name || v.Stack() == name
	})
}

// after names the stack that has to be removed before another one that the same commit took off
// the list: the one after it in the list, which may use what it makes.
func after(list record.StackList, key record.StackKey) record.StackKey {
	at := slices.IndexFunc(list.Left, func(one record.LeftStack) bool { return one.Key == key })
	for _, one := range list.Left[:max(at, 0)] {
		if one.Prune && one.Commit == list.Left[at].Commit {
			return one.Key
		}
	}
	return ""
}

// remove removes a stack, and reports whether nothing is left to do. Each removal is in the audit
// log before it is made; what is cut off goes on in the next turn.
func (a *Agent) remove(ctx context.Context, s *stack, one record.LeftStack) (over bool, err error) {
	entry := audit.Entry{Actor: audit.Agent(), Action: audit.Remove, Kind: audit.Stack, Name: one.Stack, Revision: one.Commit, Outcome: audit.Started}
	if one.Consent.Actor != nil {
		entry.Actor = *one.Consent.Actor
	}
	entry.Detail = "taken off the list; approved: " + one.Consent.Reason
	if len(one.Kept) == 0 {
		if err := s.notes.Add(entry); err != nil {
			return false, err
		}
	}
	kept, busy, err := a.parts.Engine.RemoveStack(ctx, one.Stack, a.parts.Settings.Owner(), func(event deploy.Event) error {
		written := entry
		written.Kind, written.Name, written.Detail = audit.Kind(event.Step.Kind), event.Step.Name, "of the stack "+one.Stack
		switch {
		case event.Err != nil:
			written.Outcome, written.Error = audit.Failed, event.Err.Error()
		case event.Done:
			written.Outcome = audit.Succeeded
		}
		return s.notes.Add(written)
	})
	if err != nil {
		return false, err
	}
	if len(busy) > 0 {
		if slices.Equal(busy, one.Kept) {
			return false, nil
		}
		return false, a.editLeft(one.Key, func(left *record.LeftStack) { left.Kept = busy })
	}
	if err := s.removed(one); err != nil {
		return false, err
	}
	entry.Outcome, entry.Detail = audit.Succeeded, "removed; its volumes stay"
	if len(kept) > 0 {
		entry.Detail += "; these stay, too: " + strings.Join(kept, "; ")
	}
	if err := s.notes.Add(entry); err != nil {
		return false, err
	}
	s.log.Info("removed a stack that was taken off the list", "stack", one.Stack, "revision", record.Short(one.Commit), "stays", strings.Join(kept, "; "))
	return true, a.dropLeft(one.Key)
}

// removed records that nothing of the stack runs: should it be listed again, it is rolled out.
func (s *stack) removed(one record.LeftStack) error {
	last := s.board.Snapshot().Last
	if last == nil || s.board.Snapshot().Deployed == nil {
		return nil
	}
	now := time.Now()
	sync, err := rollout.NewSync(gitsync.Revision{Commit: one.Commit, Ref: last.Ref}, record.OnRequest, record.Begin, now)
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
	if err := s.records.SaveRemoved(sync); err != nil {
		return fmt.Errorf("save the removal: %w", err)
	}
	return s.board.Recall()
}
