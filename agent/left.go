package agent

import (
	"context"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/removal"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/roster"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
)

// settle ends the sync of a stack that was taken off the list meanwhile, and restores the cron
// services that it left scaled down: what fails is tried again in the next turn.
func (s *stack) settle(ctx context.Context) {
	v := s.board.Snapshot()
	if ctx.Err() != nil {
		return
	}
	if v.Last.CarriesOn() {
		if err := s.rollouts.Abandon(v.Base(), "superseded: the stack was taken off the list"); err != nil {
			s.log.Warn("cannot end the sync of a stack that was taken off the list", "error", err)
			return
		}
	}
	s.rollouts.RestoreCron(ctx, s.board.Snapshot().Last)
}

// prune removes the stacks that were taken off the list, and whose removal a user has approved. A
// freeze holds that like a rollout.
func prune(ctx context.Context, a *Agent) {
	for _, s := range a.roster.Left() {
		one, may := a.roster.Removable(s.key)
		if !may || s.board.Snapshot().Paused() != nil || ctx.Err() != nil || a.parts.Settings.Observes() || time.Now().Before(s.again.Until) {
			continue
		}
		held := removal.Held(one, a.parts.Settings.Node, append(a.roster.Deployed(s.key), s.board.Snapshot().Deployed), a.roster.Config(), a.parts.Policy.Policy().Gates())
		if held == "" && one.Freeze == nil && roster.Unread(a.roster, func(s *stack) bool { return s.board.Snapshot().Waits() }) {
			held = "the removal waits until the commit that waits is read again: a freeze may be in it"
		}
		if s.board.Snapshot().Held != held {
			s.board.Update(func(v *board.View) { v.Held = held })
		}
		if held != "" {
			continue
		}
		if err := remove(ctx, a, s, one); err != nil && ctx.Err() == nil {
			s.again = s.again.After(0, a.parts.Random)
			s.log.Warn("cannot remove the stack", "stack", one.Stack, "next", s.again.Until, "error", err, "hint", fault.Hint(err))
		}
	}
}

// leftOf says of a stack that it was taken off the list, and what holds its removal.
func leftOf(a *Agent, s *stack) *report.Left {
	return a.roster.LeftOf(s.key).HeldBy(s.board.Snapshot().Held)
}

// busyAfter is after how many tries an object that stays in use is looked at once an hour: each
// try is in the audit log.
const busyAfter = 9

// remove removes a stack, and records what keeps the removal from being complete.
func remove(ctx context.Context, a *Agent, s *stack, one record.LeftStack) error {
	remover := removal.Remover{Engine: a.parts.Engine, Owner: a.parts.Settings.Owner(), Others: a.parts.Store.Lists().GoodBut(s.key), Board: s.board, Records: s.records, Note: s.notes.Add, Log: s.log}
	left, rest, err := remover.Remove(ctx, one)
	if err != nil {
		return err
	}
	asked := time.Duration(0)
	if s.again.Tries >= busyAfter && !rest {
		asked = time.Hour
	}
	s.again = s.again.After(asked, a.parts.Random)
	if len(left) == 0 || rest && !one.Rest { // another stack may have used what is gone
		for _, other := range a.roster.Left() {
			other.again = backoff.Wait{}
		}
	}
	switch {
	case len(left) == 0:
		return a.roster.Drop(s.key)
	case rest != one.Rest || !slices.Equal(left, one.Kept):
		return a.roster.Kept(s.key, left, rest)
	}
	return nil
}
