package agent

import (
	"context"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// GrantSync allows a sync for an actor. It records who overrides a freeze, and why.
func (a *Agent) GrantSync(actor audit.Actor, asked request.Sync) (request.Run, error) {
	why := cause{trigger: record.OnRequest, actor: actor}
	if asked.OverrideFreeze {
		var err error
		if why.override, err = a.override(actor, asked.Reason); err != nil {
			return nil, err
		}
	}
	return a.runFor(why), nil
}

// GrantRetry allows another attempt at the held revision, and records it.
func (a *Agent) GrantRetry(actor audit.Actor, asked request.Retry) (request.Run, error) {
	if err := a.allowRetry(actor, asked); err != nil {
		return nil, err
	}
	return a.runFor(cause{trigger: record.OnRequest, actor: actor}), nil
}

// GrantRollback allows a rollback if the request is valid. The run plans the rollback
// first and refuses it if a check fails.
func (a *Agent) GrantRollback(actor audit.Actor, asked request.Rollback) (request.Run, error) {
	if _, err := goalOfRequest(actor, asked); err != nil {
		return nil, err
	}
	return func(ctx context.Context, progress func(string)) (*record.Sync, error) {
		return a.Rollback(ctx, actor, asked, progress)
	}, nil
}
