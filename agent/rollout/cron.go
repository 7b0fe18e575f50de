package rollout

import (
	"context"
	"fmt"
	"maps"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// cron keeps on record which cron services are scaled down for a rollout, until they are
// restored.
type cron struct {
	records cronRecords
	engine  writer
	stack   string // its name in audit entries; "" for the only one of the node
	audit   interface {
		Append(entries ...audit.Entry) error
	}
}

// apply applies a plan. It records the cron services that the plan scales down before it
// scales them down. The caller sets Progress and Wait of the options.
func (c *cron) apply(ctx context.Context, plan deploy.Plan, want *compose.Stack, opts deploy.ApplyOptions) error {
	down, err := c.records.ScaledDown()
	if err != nil {
		return fmt.Errorf("recall the cron services that are scaled down: %w", err)
	}
	if down.Stack != want.Name {
		down = record.ScaledDown{Stack: want.Name}
	}
	all := plan.ScaledDown()
	maps.Copy(all, down.Services) // from before an interruption: the original numbers
	down.Services = all
	if len(all) == 0 {
		return c.engine.Apply(ctx, plan, want, opts)
	}
	if err := c.records.SaveScaledDown(down); err != nil {
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
	err = c.engine.Apply(ctx, plan, want, opts)
	if err == nil {
		down.Services = nil
	}
	if saveErr := c.records.SaveScaledDown(down); saveErr != nil {
		return fmt.Errorf("record the cron services that are restored: %w", saveErr)
	}
	return err
}

// restore restores the cron services that are still scaled down. An agent that is stopping
// continues when it starts again. It gives the stack's name with an error.
func (c *cron) restore(ctx context.Context, last *record.Sync) (stack string, err error) {
	down, err := c.records.ScaledDown()
	if ctx.Err() != nil || err == nil && len(down.Services) == 0 {
		return "", nil
	}
	if err == nil {
		err = c.engine.ScaleUp(ctx, down.Stack, down.Services, func(event deploy.Event) error {
			if !event.Done {
				return nil
			}
			entry := audit.Entry{
				Actor: audit.Agent(), Action: audit.ScaleUp, Kind: audit.Service, Name: event.Step.Name,
				Stack: c.stack, Detail: "restored: the rollout that had scaled it down has stopped",
			}
			if last != nil {
				entry.Sync, entry.Revision = last.ID, last.Commit
			}
			entry.Ended(event.Err)
			return c.audit.Append(entry)
		})
	}
	if err == nil {
		err = c.records.SaveScaledDown(record.ScaledDown{})
	}
	return down.Stack, err
}

// clear records that no cron service is scaled down any more, because the plan has nothing
// left to do.
func (c *cron) clear() error {
	down, err := c.records.ScaledDown()
	if err == nil && len(down.Services) > 0 {
		err = c.records.SaveScaledDown(record.ScaledDown{})
	}
	if err != nil {
		return fmt.Errorf("record the cron services that are restored: %w", err)
	}
	return nil
}
