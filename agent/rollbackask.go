package agent

import (
	"context"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// goalOfRequest gives the goal of a user's rollback.
func goalOfRequest(actor audit.Actor, q request.Rollback) (rollbackGoal, error) {
	why, err := request.Reason(q.Reason, false)
	return rollbackGoal{to: q.To, services: q.Services, actor: actor, reason: why, force: q.Force, digest: q.Digest}, err
}

// PlanRollback says what a rollback would do. It changes nothing.
func (a *Agent) PlanRollback(ctx context.Context, actor audit.Actor, asked request.Rollback) (*request.RollbackPlan, error) {
	goal, err := goalOfRequest(actor, asked)
	if err != nil {
		return nil, err
	}
	r, err := a.prepareRollback(ctx, goal, func(string) {})
	if r != nil {
		defer r.wipe()
	}
	if err != nil {
		return nil, err
	}
	to, taken := r.rollback.to, r.sync.Rollback
	return &request.RollbackPlan{
		To: to.SyncID, Commit: to.Commit, Release: to.Release, At: to.At, Services: taken.Services,
		Leaves: r.sync.Commit, Digest: r.attempt.PlanDigest, Plan: r.plan.Recorded(),
	}, nil
}

// Rollback makes the running loop roll back to a good state, for an actor, and waits for
// it. If the request has a plan's digest, only that plan is applied. A rollout that waits
// for its services is stopped, unless the rollback is refused.
func (a *Agent) Rollback(ctx context.Context, actor audit.Actor, asked request.Rollback, progress func(string)) (*record.Sync, error) {
	goal, err := goalOfRequest(actor, asked)
	if err != nil {
		return nil, err
	}
	if goal.digest == "" { // otherwise the user asked for the plan before
		if _, err := a.PlanRollback(ctx, actor, asked); err != nil {
			return nil, err
		}
	}
	done := a.hand(ctx, job{
		do: func(ctx context.Context) outcome { return a.rollBack(ctx, goal, progress) }, done: make(chan outcome, 1),
	}, a.stops)
	return done.sync, done.err
}
