package agent

import (
	"context"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// wayOfRequest gives where a user wants to go back to.
func wayOfRequest(actor audit.Actor, q request.Rollback) (way, error) {
	why, err := request.Reason(q.Reason, false)
	return way{to: q.To, services: q.Services, actor: actor, reason: why, force: q.Force, digest: q.Digest}, err
}

// PlanRollback says what going back would do. It changes nothing.
func (a *Agent) PlanRollback(ctx context.Context, actor audit.Actor, asked request.Rollback) (*request.RollbackPlan, error) {
	w, err := wayOfRequest(actor, asked)
	if err != nil {
		return nil, err
	}
	r, err := a.readyBack(ctx, w, func(string) {})
	if r != nil {
		defer r.wipe()
	}
	if err != nil {
		return nil, err
	}
	to, taken := r.back.to, r.sync.Rollback
	return &request.RollbackPlan{
		To: to.SyncID, Commit: to.Commit, Release: to.Release, At: to.At, Services: taken.Services,
		Leaves: r.sync.Commit, Digest: r.attempt.PlanDigest, Plan: r.plan.RecordedPlan,
	}, nil
}

// Rollback has the running loop go back to a good state, for an actor, and waits for
// it. Where the request has a plan's digest, that plan is applied or none. A rollout
// that waits for its services makes way, unless something speaks against going back.
func (a *Agent) Rollback(ctx context.Context, actor audit.Actor, asked request.Rollback, progress func(string)) (*record.Sync, error) {
	w, err := wayOfRequest(actor, asked)
	if err != nil {
		return nil, err
	}
	if w.digest == "" { // else that was asked with the plan
		if _, err := a.PlanRollback(ctx, actor, asked); err != nil {
			return nil, err
		}
	}
	done := a.hand(ctx, job{
		do: func(ctx context.Context) outcome { return a.goBack(ctx, w, progress) }, done: make(chan outcome, 1),
	}, a.stops)
	return done.sync, done.err
}
