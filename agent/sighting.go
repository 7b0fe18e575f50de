package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/decision"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/agent/selection"
	"coin.internal/coin-agent/agent/signing"
	gitsync "coin.internal/coin-agent/sync"
)

// sighting is what a look has observed, for the decision and for the action after it.
type sighting struct {
	stack    *stack
	observed decision.Observed
	revision gitsync.Revision
	checkout *gitsync.Checkout
	fetching time.Duration // of the checkout, and of what was asked about the history meanwhile
	signer   string        // of the revision
	refused  error         // why the revision is not read; nil if it may be
	sync     *record.Sync  // the last one, once the services were read
	to       string        // the tag that a user asked for; "" for the one that is followed
	over     string        // the tag that is followed in place of it
}

// observation gives the function that makes an observation; nil if the action is not an
// observation.
func (seen *sighting) observation(action decision.Action) func(context.Context) error {
	switch action {
	case decision.AskRemote:
		return seen.askRemote
	case decision.AskGroup:
		return seen.askGroup
	case decision.AskLineage:
		return seen.askLineage
	case decision.AskFiles:
		return seen.askFiles
	case decision.AskDrift:
		return seen.askDrift
	case decision.Wait, decision.Unreachable, decision.CarryBack, decision.LeaveGroup, decision.LeaveRelease, decision.RefusePinned,
		decision.RefuseRewrite, decision.RefuseSigner, decision.Share, decision.Sync, decision.CorrectSync, decision.CorrectBack:
	}
	return nil
}

// reads reports whether the selected commit is read in an action, or may be in one that follows it. The
// agent does not end because of the commit in any other.
func (seen *sighting) reads(action decision.Action) bool {
	switch action {
	case decision.AskRemote, decision.AskLineage, decision.AskFiles, decision.Sync:
		return true
	case decision.AskGroup:
		return seen.observed.Lineage == nil // the commit is not left behind
	case decision.AskDrift, decision.Wait, decision.Unreachable, decision.CarryBack, decision.LeaveGroup, decision.LeaveRelease, decision.RefusePinned,
		decision.RefuseRewrite, decision.RefuseSigner, decision.Share, decision.CorrectSync, decision.CorrectBack:
	}
	return false
}

// cause adds the tag that a user asked for. It is on record also if the tag is refused, so that
// the node does not follow the tag that the user left.
func (seen *sighting) cause(why rollout.Cause) rollout.Cause {
	if seen.to != "" && why.Trigger == record.OnRequest {
		why.Chosen = &record.Chosen{Actor: why.Actor, At: time.Now().UTC(), Over: seen.over}
	}
	return why
}

// askRemote asks which revision is selected.
func (seen *sighting) askRemote(ctx context.Context) error {
	s := seen.stack
	revision, err := seen.chosen(ctx)
	if err == nil {
		s.board.Update(func(v *board.View) { v.Desired = selection.Known(v.Desired, v.Last, revision) })
	}
	seen.revision = revision
	seen.observed.Remote = &decision.Remote{Err: err, Commit: revision.Commit, Ref: revision.Ref, Tag: revision.Tag}
	return nil
}

// askGroup asks for the statuses of the other nodes of the last sync's group.
func (seen *sighting) askGroup(ctx context.Context) error {
	failed, err := seen.stack.group.Ask(ctx)
	seen.observed.Group = &decision.Group{Failed: failed}
	return err
}

// askLineage asks how the selected commit relates to the last one. Its files may be fetched meanwhile.
func (seen *sighting) askLineage(ctx context.Context) error {
	s := seen.stack
	started, last := time.Now(), s.board.Snapshot().Last
	lineage, err := s.remote.Lineage(ctx, last.Commit, seen.revision)
	if err != nil && (seen.observed.Trigger != record.OnRequest || !errors.Is(err, selection.ErrGone)) { // a user knows that it was rewritten
		return err
	}
	if lineage == decision.Behind {
		s.log.Info("the remote selects an older commit than the last one", "revision", record.Short(seen.revision.Commit), "last", record.Short(last.Commit))
	}
	seen.observed.Lineage, seen.fetching = &lineage, time.Since(started)
	return nil
}

// askFiles fetches the selected commit.
func (seen *sighting) askFiles(ctx context.Context) error {
	s := seen.stack
	started, last := time.Now(), s.board.Snapshot().Last
	checkout, signer, err := s.remote.Fetch(ctx, seen.revision, s.board.Snapshot().Waits())
	if last.CarriesOn() && last.Commit == seen.revision.Commit && errors.Is(err, gitsync.ErrMoved) {
		err = signing.RefuseUnproven(seen.revision)
	}
	if errors.As(err, new(*signing.Refused)) {
		seen.refused, seen.observed.Files = err, &decision.Files{Refused: true}
		return nil
	}
	if err != nil {
		return fmt.Errorf("fetch %s: %w", record.Short(seen.revision.Commit), err)
	}
	seen.checkout, seen.signer = checkout.Anew(), signer
	seen.fetching += time.Since(started)
	if !seen.wanders() {
		if err := s.fetched(ctx, checkout); err != nil {
			return err
		}
	}
	seen.observed.Files = &decision.Files{Same: last != nil && len(last.Inputs) > 0 && checkout.Same(last.Inputs)}
	s.board.Update(func(v *board.View) { v.Desired = &checkout.Revision })
	return nil
}

// askDrift reads the live services. It costs one read of the engine, and once an hour
// those of a survey.
func (seen *sighting) askDrift(ctx context.Context) error {
	s := seen.stack
	seen.sync = s.board.Snapshot().Last
	s.recallWebhook(ctx, seen.revision)
	drifted, err := s.services.Look(ctx)
	if err != nil {
		return err
	}
	if s.board.Snapshot().Deployed != nil {
		s.keeper.Expect(false)
	}
	seen.observed.Drift = &drifted
	return nil
}

// chosen gives the revision that the stack follows, or the tag that a user asked for. What a
// user has to know about other tags is shown, logged, and sent to the receivers of notices
// once.
func (seen *sighting) chosen(ctx context.Context) (gitsync.Revision, error) {
	s := seen.stack
	v := s.board.Snapshot()
	revision, told, err := s.remote.Choose(ctx, s.onRecord())
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
			return revision, refusal{err}
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
func (seen *sighting) wanders() bool {
	if !seen.stack.several() {
		return false
	}
	last := seen.stack.board.Snapshot().Last
	return seen.to != "" || last != nil && last.Chosen != nil && last.Commit == seen.revision.Commit && last.Ref == seen.revision.Ref
}
