package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/decision"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/agent/services"
	"coin.internal/coin-agent/agent/soak"
	"coin.internal/coin-agent/deploy"
	gitsync "coin.internal/coin-agent/sync"
)

// look observes, decides and acts, until nothing is left to do before the next look.
func (s *stack) look(ctx context.Context, why rollout.Cause, progress func(string)) rollout.Outcome {
	if why.Trigger == record.OnRequest {
		s.readings.Forgive()
	}
	seen := &sighting{stack: s, observed: decision.Observed{Trigger: why.Trigger}, to: why.To}
	s.readings.Hold()
	release := func() {}
	defer func() { release(); s.readings.Release() }()
	for {
		known, err := s.known()
		if err != nil {
			return rollout.Outcome{Err: err}
		}
		action := decision.Next(known, seen.observed, decision.Policy{AllowRewrite: s.parts.Settings.AllowRewrite, Group: s.parts.Statuses != nil})
		if action.Works() { // a rollout comes before the plans of merge requests
			release()
			release = s.plans.Hold()
		}
		if action.Writes() {
			s.live.Write(s.board.Snapshot().Stack())
		}
		if !seen.reads(action) {
			s.readings.Release()
		}
		if ask := seen.observation(action); ask != nil {
			if err := ask(ctx); err != nil {
				if rollout.Unreadable(err) {
					refused := rollout.Commit{Checkout: &gitsync.Checkout{Revision: seen.revision}, Cause: seen.cause(why), Progress: progress}
					return s.after(ctx, s.rollouts.Refuse(ctx, s.board.Snapshot().Base(), refused, record.StageFetch, err), seen)
				}
				return rollout.Outcome{Sync: seen.sync, Err: err}
			}
			continue
		}
		return s.after(ctx, s.act(ctx, action, seen, why, progress), seen)
	}
}

// known gives what is recorded of the stack.
func (s *stack) known() (decision.Record, error) {
	v := s.board.Snapshot()
	_, frozen, err := rollout.Frozen(v.Deployed, s.node.Node)
	if floor := s.parts.Policy.Policy().Gates(); floor != nil && !frozen {
		_, frozen = floor.Frozen(s.node.Node, time.Now())
	}
	return decision.Record{
		Last: v.Last, Deployed: v.Deployed, Observes: s.parts.Settings.Observes(), Paused: v.Paused() != nil || s.parts.Settings.Observes(), Frozen: frozen,
		Degraded: soak.Leaves(v), Corrects: services.Corrects(v.Deployed), Rules: rollout.RulesOf(s.parts.Policy.Policy(), s.parts.Settings.Limits),
	}, err
}

// act carries out an action.
func (s *stack) act(ctx context.Context, action decision.Action, seen *sighting, why rollout.Cause, progress func(string)) rollout.Outcome {
	base := s.board.Snapshot().Base()
	switch action {
	case decision.Unreachable:
		return rollout.Outcome{Err: fmt.Errorf("look at the remote: %w", seen.observed.Remote.Err)}
	case decision.CarryBack:
		return s.rollouts.CarryOnBack(ctx, base, progress)
	case decision.LeaveGroup:
		return s.group.Leave(ctx, seen.observed.Group.Failed, progress)
	case decision.LeaveRelease:
		return s.soak.Leave(ctx, progress)
	case decision.RefusePinned:
		return rollout.Outcome{Err: refusal{rollout.RefusePinned(base.Last)}}
	case decision.RefuseRewrite:
		return rollout.Outcome{Err: s.rollouts.RefuseRewritten(seen.revision)}
	case decision.RefuseSigner:
		to := rollout.Commit{Checkout: &gitsync.Checkout{Revision: seen.revision}, Cause: seen.cause(why), Progress: progress}
		return s.rollouts.Refuse(ctx, base, to, record.StageSigners, seen.refused)
	case decision.Share:
		return s.rollouts.Share(base.Last, seen.checkout.Revision, seen.signer)
	case decision.Sync:
		return s.forward(ctx, seen, why, progress)
	case decision.CorrectSync:
		err := seen.askFiles(ctx)
		switch {
		case errors.Is(err, gitsync.ErrNotFound): // the tag was removed
		case err != nil:
			return rollout.Outcome{Sync: base.Last, Err: err}
		case seen.refused == nil:
			return s.forward(ctx, seen, rollout.Cause{Trigger: record.OnDrift, Correction: s.services.Correction()}, progress)
		}
		fallthrough // the deployed state was recorded, and needs neither the tag nor a signature
	case decision.CorrectBack:
		return s.rollouts.Back(ctx, base, rollout.Rollback{State: base.Deployed, Actor: audit.Agent(), Auto: true, Drift: true, Correction: s.services.Correction()}, progress)
	case decision.Wait, decision.AskRemote, decision.AskGroup, decision.AskLineage, decision.AskFiles, decision.AskDrift:
	}
	return rollout.Outcome{Sync: base.Last}
}

// forward rolls out the fetched commit.
func (s *stack) forward(ctx context.Context, seen *sighting, why rollout.Cause, progress func(string)) rollout.Outcome {
	to := rollout.Commit{Checkout: seen.checkout, Fetching: seen.fetching, Signer: seen.signer, Cause: seen.cause(why), Progress: progress}
	return s.rollouts.Forward(ctx, s.board.Snapshot().Base(), to)
}

// after looks at the services, unless the look has read them and changed nothing since: their
// state is known after each look, also while a sync waits or the remote is away. After a sync
// that is verified the agent looks at the versions of secrets and configs, too. seen is nil if a user
// asked for the action.
func (s *stack) after(ctx context.Context, done rollout.Outcome, seen *sighting) rollout.Outcome {
	s.live.Take(s.board.Snapshot().Stack(), done.Observed)
	verified := done.Over && done.Sync.Verified() && !done.Sync.Unchanged
	switch {
	case verified:
		s.services.Deployed()
	case done.Over:
	case seen == nil, seen.observed.Drift != nil, ctx.Err() != nil,
		errors.Is(done.Err, rollout.ErrSuperseded), errors.Is(done.Err, deploy.ErrUnavailable):
		return done
	}
	_, err := s.services.Look(ctx)
	if done.Err == nil {
		done.Err = err
	}
	if err == nil && verified {
		s.keeper.Expect(true)
	}
	return done
}

// refusal refuses what a user asks for. The look succeeded.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }
