package agent

import (
	"context"
	"fmt"
	"maps"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// roll applies a plan and records the cron services that it scales down: it records them
// before it scales them down, until they are restored. The caller sets Progress and Wait
// of the options.
func (a *Agent) roll(ctx context.Context, plan deploy.Plan, want *compose.Stack, opts deploy.ApplyOptions) error {
	scaledDown, err := a.records.ScaledDown()
	if err != nil {
		return fmt.Errorf("recall the cron services that are scaled down: %w", err)
	}
	if scaledDown.Stack != want.Name {
		scaledDown = record.ScaledDown{Stack: want.Name}
	}
	all := plan.ScaledDown()
	maps.Copy(all, scaledDown.Services) // from before an interruption: the original numbers
	scaledDown.Services = all
	if len(all) == 0 {
		return a.Engine.Apply(ctx, plan, want, opts)
	}
	if err := a.records.SaveScaledDown(scaledDown); err != nil {
		return fmt.Errorf("record the cron services that are to be scaled down: %w", err)
	}
	opts.ScaledDown = maps.Clone(all)
	progress := opts.Progress
	opts.Progress = func(event deploy.Event) error {
		if event.Done && event.Err == nil && event.Step.Action == deploy.ScaleUp {
			delete(all, event.Step.Name)
		}
		return progress(event)
	}
	err = a.Engine.Apply(ctx, plan, want, opts)
	if err == nil {
		scaledDown.Services = nil
	}
	if saveErr := a.records.SaveScaledDown(scaledDown); saveErr != nil {
		return fmt.Errorf("record the cron services that are restored: %w", saveErr)
	}
	return err
}

// restoreScaledDown restores the cron services that are still scaled down after a look:
// the rollout was interrupted and another sync is due now, or nothing can be done, or the
// engine did not answer. What fails now is tried again by the next look. An agent that is
// stopping continues when it starts again.
func (a *Agent) restoreScaledDown(ctx context.Context) {
	scaledDown, err := a.records.ScaledDown()
	if ctx.Err() != nil || err == nil && len(scaledDown.Services) == 0 {
		return
	}
	about := a.snapshot().sync
	if err == nil {
		err = a.Engine.ScaleUp(ctx, scaledDown.Stack, scaledDown.Services, func(event deploy.Event) error {
			if !event.Done {
				return nil
			}
			entry := audit.Entry{
				Actor: audit.Agent(), Action: audit.ScaleUp, Kind: audit.Service, Name: event.Step.Name,
				Outcome: audit.Succeeded, Detail: "restored: the rollout that had scaled it down has stopped",
			}
			if about != nil {
				entry.Sync, entry.Revision = about.ID, about.Commit
			}
			if event.Err != nil {
				entry.Outcome, entry.Error = audit.Failed, event.Err.Error()
			}
			return a.Audit.Append(entry)
		})
	}
	if err == nil {
		err = a.records.SaveScaledDown(record.ScaledDown{})
	}
	if err != nil {
		a.Log.Warn("cannot restore cron services", "stack", scaledDown.Stack, "error", err.Error())
	}
}

// clearScaledDown records that no cron service is scaled down any more, because the plan
// has nothing left to do.
func (a *Agent) clearScaledDown() error {
	scaledDown, err := a.records.ScaledDown()
	if err == nil && len(scaledDown.Services) > 0 {
		err = a.records.SaveScaledDown(record.ScaledDown{})
	}
	if err != nil {
		return fmt.Errorf("record the cron services that are restored: %w", err)
	}
	return nil
}
