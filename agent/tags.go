package agent

import (
	"context"
	"slices"

	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/selection"
	gitsync "coin.internal/coin-agent/sync"
)

// chosen gives the revision that the stack follows, or the tag that a user asked for. What a
// user has to know about other tags is shown, logged, and sent to the receivers of notices
// once.
func (s *stack) chosen(ctx context.Context, seen *sighting) (gitsync.Revision, error) {
	v := s.board.Snapshot()
	revision, told, err := s.remote.Choose(ctx, selection.NewRecord(v.Last, v.Deployed))
	if seen.to != "" {
		refs, listErr := s.remote.List(ctx)
		if listErr != nil {
			return gitsync.Revision{}, listErr
		}
		seen.over = revision.Ref // "" if nothing is followed
		if last := v.Last; last != nil && last.Chosen != nil && revision.Ref == last.Ref {
			seen.over = last.Chosen.Over // the user leaves a tag that was asked for, too
		}
		if revision, err = s.remote.Remote.Named(refs, seen.to); err != nil {
			return revision, askedError{err}
		}
		return revision, nil
	}
	if err == nil && !slices.Equal(told, v.Tags) {
		s.board.Update(func(v *board.View) { v.Tags = told })
		for _, text := range told {
			s.log.Warn("tag is not followed", "reason", text)
		}
		if v.Last != nil && len(told) > 0 {
			err = s.publish.Tags(v.Last, told)
		}
	}
	return revision, err
}

// wanders reports whether a user has one of several stacks leave what the others follow: the list
// of stacks stays that of the commit which those follow.
func (s *stack) wanders(seen *sighting) bool {
	if !s.several() {
		return false
	}
	last := s.board.Snapshot().Last
	return seen.to != "" || last != nil && last.Chosen != nil && last.Commit == seen.revision.Commit && last.Ref == seen.revision.Ref
}

// askedError refuses a tag that a user asks for. The look succeeded.
type askedError struct{ error }

func (e askedError) Unwrap() error { return e.error }

// selects gives the revision that the stack would follow now. It may be called while the loop
// is busy.
func (s *stack) selects(ctx context.Context) (gitsync.Revision, error) {
	v := s.board.Snapshot()
	revision, _, err := s.remote.Remote.Now(ctx, selection.NewRecord(v.Last, v.Deployed))
	return revision, err
}
