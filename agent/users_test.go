package agent_test

import (
	"context"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desk"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// users ask as the control socket does: a request is granted first, and run then.
type users struct{ *desk.Desk }

func run(ctx context.Context, progress func(string), granted request.Run, err error) (*record.Sync, error) {
	if err != nil {
		return nil, err
	}
	return granted(ctx, progress)
}

// Sync asks for a sync.
func (u users) Sync(ctx context.Context, actor audit.Actor, progress func(string)) (*record.Sync, error) {
	granted, err := u.GrantSync(actor, request.Sync{})
	return run(ctx, progress, granted, err)
}

// SyncOver asks for a sync that no freeze holds up.
func (u users) SyncOver(actor audit.Actor, reason string) error {
	granted, err := u.GrantSync(actor, request.Sync{OverrideFreeze: true, Reason: reason})
	_, err = run(context.Background(), func(string) {}, granted, err)
	return err
}

// Retry asks for another attempt.
func (u users) Retry(ctx context.Context, actor audit.Actor, asked request.Retry, progress func(string)) (*record.Sync, error) {
	granted, err := u.GrantRetry(actor, asked)
	return run(ctx, progress, granted, err)
}

// Rollback asks for a rollback.
func (u users) Rollback(ctx context.Context, actor audit.Actor, asked request.Rollback, progress func(string)) (*record.Sync, error) {
	granted, err := u.GrantRollback(actor, asked)
	return run(ctx, progress, granted, err)
}
