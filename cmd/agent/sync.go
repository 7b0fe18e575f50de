package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/state"
	"coin.internal/coin-agent/internal/fault"
)

// reportLimit is how long `sync --once` tries to bring its reports to GitLab.
const reportLimit = 30 * time.Second

func (a *app) syncCommand() *cobra.Command {
	var once, dryRun, wait bool
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Reconcile now; a revision that failed or waits here is taken up again",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onlyOne(cmd, "once", "dry-run", "wait"); err != nil {
				return err
			}
			switch {
			case dryRun:
				return a.diff(cmd.Context(), checkoutFlags{}, "text")
			case once:
				return a.syncOnce(cmd.Context())
			case wait:
				follower := newFollower(a.stderr)
				sync, err := agent.NewClient(a.settings.Socket).Sync(cmd.Context(), follower.note)
				follower.close()
				return a.outcome(sync, err)
			}
			if err := agent.NewClient(a.settings.Socket).RequestSync(cmd.Context()); err != nil {
				return err
			}
			newPrinter(a.stdout).line("sync requested; `agent status` shows how it goes")
			return nil
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "make one sync in this process, without the daemon")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the plan and change nothing")
	cmd.Flags().BoolVar(&wait, "wait", false, "follow the sync to its end")
	return cmd
}

// syncOnce makes one sync in this process. The state file admits one agent at a
// time, so it never runs beside the daemon.
func (a *app) syncOnce(ctx context.Context) error {
	if err := forbidCoreDumps(); err != nil {
		return err
	}
	p, err := a.assemble(slog.New(slog.DiscardHandler))
	if errors.Is(err, state.ErrLocked) {
		return fault.WithHint(err, "use `agent sync` without --once")
	}
	if err != nil {
		return err
	}
	defer p.close()
	follower := newFollower(a.stderr)
	sync, err := p.agent.Once(ctx, func(text string) { follower.note(agent.SyncEvent{Progress: text, Rollout: p.agent.Rollout()}) })
	follower.close()
	err = a.outcome(sync, err)
	limited, cancel := context.WithTimeout(ctx, reportLimit)
	defer cancel()
	if p.outbox != nil {
		err = errors.Join(err, p.outbox.Flush(limited))
	}
	return errors.Join(err, p.notices.Flush(limited))
}

// outcome prints how a sync ended.
func (a *app) outcome(sync *state.Sync, err error) error {
	if err != nil && (sync == nil || sync.Error == "") {
		return err
	}
	if sync.State == state.Succeeded {
		newPrinter(a.stdout).line("%s %s: %s", sync.Ref, short(sync.Commit), sync.Summary)
		return nil
	}
	if rollout := agent.FailedRollout(sync); rollout != nil {
		printDetails(newPrinter(a.stderr), rollout)
	}
	var faults []error
	for _, one := range sync.All() {
		faults = append(faults, fault.New(fault.Place{}, one.Hint, "%s %s: %s: %s", sync.Ref, short(sync.Commit), sync.Stage, one.Error))
	}
	return errors.Join(faults...)
}
