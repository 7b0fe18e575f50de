package main

import (
	"context"
	"io"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/desk"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// rollbackOnce rolls back in this process, while no daemon runs.
func rollbackOnce(ctx context.Context, a *app, f rollbackFlags, stdin io.Reader) error {
	if err := a.here("rollback --once"); err != nil {
		return err
	}
	if err := canAsk(f, stdin); err != nil {
		return err
	}
	return a.alone(ctx, "use `agent rollback` without --once", func(p *parts) error {
		return agent.Alone(ctx, p.agent, func(ctx context.Context) error {
			stack, err := p.agent.Desk(record.StackKey(a.stack))
			if err != nil {
				return err
			}
			return rollback(ctx, a, ownDesk{stack}, f, stdin)
		})
	})
}

// ownDesk takes the requests of the user of this process.
type ownDesk struct{ desk *desk.Desk }

// PlanRollback says what a rollback would do, or why it is refused.
func (o ownDesk) PlanRollback(ctx context.Context, asked request.Rollback) (*request.RollbackPlan, error) {
	plan, err := o.desk.PlanRollback(ctx, audit.Self(), asked)
	if err != nil {
		return nil, request.Refused{Kind: request.Conflict, Err: err}
	}
	return plan, nil
}

// Rollback rolls back, and shows the progress.
func (o ownDesk) Rollback(ctx context.Context, asked request.Rollback, progress func(control.Event)) (*record.Sync, error) {
	run, err := o.desk.GrantRollback(audit.Self(), asked)
	if err != nil {
		return nil, err
	}
	return run(ctx, func(text string) { progress(control.Event{Progress: text, Rollout: o.desk.Rollout()}) })
}
