package agent

import (
	"context"
	"slices"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/removal"
	"coin.internal/coin-agent/internal/fault"
)

// settle ends the sync of a stack that was taken off the list meanwhile.
func (s *stack) settle(ctx context.Context) {
	v := s.board.Snapshot()
	if !v.Last.CarriesOn() || ctx.Err() != nil {
		return
	}
	if err := s.rollouts.Abandon(v.Base(), "superseded: the stack was taken off the list"); err != nil {
		s.log.Warn("cannot end the sync of a stack that was taken off the list", "error", err.Error())
		return
	}
	s.rollouts.RestoreCron(ctx, s.board.Snapshot().Last)
}

// prune removes the stacks that were taken off the list, and whose removal a user has approved.
func (a *Agent) prune(ctx context.Context) {
	for _, s := range a.roster.Left() {
		one, may := a.roster.Removable(s.key)
		if !may || s.board.Snapshot().Paused() != nil || ctx.Err() != nil || a.parts.Settings.Observes() {
			continue
		}
		if err := a.remove(ctx, s, one); err != nil && ctx.Err() == nil {
			s.log.Warn("cannot remove the stack", "stack", one.Stack, "error", err.Error(), "hint", fault.Hint(err))
		}
	}
}

// remove removes a stack, and records what keeps the removal from being complete.
func (a *Agent) remove(ctx context.Context, s *stack, one record.LeftStack) error {
	remover := removal.Remover{Engine: a.parts.Engine, Owner: a.parts.Settings.Owner(), Board: s.board, Records: s.records, Note: s.notes.Add, Log: s.log}
	busy, err := remover.Remove(ctx, one)
	switch {
	case err != nil:
		return err
	case len(busy) == 0:
		return a.roster.Drop(s.key)
	case !slices.Equal(busy, one.Kept):
		return a.roster.Kept(s.key, busy)
	}
	return nil
}
