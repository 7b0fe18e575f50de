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

// roll applies a plan and keeps book of the cron services that it scales down: they
// are written down before that, and stay so until they are back, whoever brings them
// back. Progress and Wait of the options are the caller's.
func (a *Agent) roll(ctx context.Context, plan deploy.Plan, want *compose.Stack, opts deploy.ApplyOptions) error {
	asleep, err := a.records.ScaledDown()
	if err != nil {
		return fmt.Errorf("recall the cron services that are scaled down: %w", err)
	}
	if asleep.Stack != want.Name {
		asleep = record.ScaledDown{Stack: want.Name}
	}
	all := plan.ScaledDown()
	maps.Copy(all, asleep.Services) // from before an interruption: they had these
	asleep.Services = all
	if len(all) == 0 {
		return a.Engine.Apply(ctx, plan, want, opts)
	}
	if err := a.records.SaveScaledDown(asleep); err != nil {
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
		asleep.Services = nil
	}
	if saveErr := a.records.SaveScaledDown(asleep); saveErr != nil {
		return fmt.Errorf("record the cron services that are back: %w", saveErr)
	}
	return err
}

// wake brings the cron services back that are still scaled down when a look is over:
// it was interrupted before and something else is due now, or nothing can be done, or
// it failed while the engine did not answer. What cannot be done now is left to the
// next look; an agent that is stopping carries on when it starts again.
func (a *Agent) wake(ctx context.Context) {
	asleep, err := a.records.ScaledDown()
	if ctx.Err() != nil || err == nil && len(asleep.Services) == 0 {
		return
	}
	about := a.snapshot().sync
	if err == nil {
		err = a.Engine.ScaleUp(ctx, asleep.Stack, asleep.Services, func(event deploy.Event) error {
			if !event.Done {
				return nil
			}
			entry := audit.Entry{
				Actor: audit.Agent(), Action: audit.ScaleUp, Kind: audit.Service, Name: event.Step.Name,
				Outcome: audit.Succeeded, Detail: "brought back: the rollout that had scaled it down is not going on",
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
		a.Log.Warn("cannot bring cron services back", "stack", asleep.Stack, "error", err.Error())
	}
}

// awake writes down that no cron service is scaled down any more: the plan had
// nothing left to do.
func (a *Agent) awake() error {
	asleep, err := a.records.ScaledDown()
	if err == nil && len(asleep.Services) > 0 {
		err = a.records.SaveScaledDown(record.ScaledDown{})
	}
	if err != nil {
		return fmt.Errorf("record the cron services that are back: %w", err)
	}
	return nil
}
