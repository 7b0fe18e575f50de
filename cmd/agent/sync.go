package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/fault"
)

// reportLimit is how long `sync --once` tries to bring its reports to GitLab.
const reportLimit = 30 * time.Second

func (a *app) syncCommand() *cobra.Command {
	var once, dryRun, wait, overrideFreeze bool
	var why string
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Reconcile now; a revision that failed or waits here is taken up again",
		Long: `Reconcile now; a revision that failed or waits here is taken up again.

Where auto_deploy is off, this is the word that a rollout waits for. It is no approval,
and it ends no pause and no freeze: with --override-freeze and a reason, which is
recorded, what is rolled out now does not wait for the end of a freeze.

With --wait the exit code is 3 where the rollout waits for something.`,
		Example: "  agent sync --wait\n  agent sync --override-freeze --reason \"the fix for the outage\"",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onlyOne(cmd, "once", "dry-run", "wait"); err != nil {
				return err
			}
			options, err := freezeOptions(cmd, why)
			if err != nil {
				return err
			}
			switch {
			case dryRun:
				return a.diff(cmd.Context(), checkoutFlags{}, "text")
			case once:
				return a.syncOnce(cmd.Context())
			case wait:
				follower := newFollower(a.stderr)
				sync, err := control.NewClient(a.settings.Socket).Sync(cmd.Context(), options, follower.note)
				follower.close()
				return a.outcome(sync, err)
			}
			if err := control.NewClient(a.settings.Socket).RequestSync(cmd.Context(), options); err != nil {
				return err
			}
			newPrinter(a.stdout).line("sync requested; `agent status` shows how it goes")
			return nil
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "make one sync in this process, without the daemon")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the plan and change nothing")
	cmd.Flags().BoolVar(&wait, "wait", false, "follow the sync to its end")
	cmd.Flags().BoolVar(&overrideFreeze, "override-freeze", false, "do not wait for the end of a freeze")
	cmd.Flags().StringVar(&why, "reason", "", "why the freeze does not hold; it is recorded")
	return cmd
}

// freezeOptions refuses an override without a reason, and a reason without one.
func freezeOptions(cmd *cobra.Command, why string) (request.Sync, error) {
	override, _ := cmd.Flags().GetBool("override-freeze")
	switch {
	case !override && why != "":
		return request.Sync{}, usageError{errors.New("--reason goes with --override-freeze")}
	case !override:
		return request.Sync{}, nil
	}
	if err := errors.Join(onlyOne(cmd, "override-freeze", "once"), onlyOne(cmd, "override-freeze", "dry-run")); err != nil {
		return request.Sync{}, usageError{err}
	}
	return request.Sync{OverrideFreeze: true, Reason: why}, wantReason(why)
}

// syncOnce makes one sync in this process. The state file admits one agent at a
// time, so it never runs beside the daemon.
func (a *app) syncOnce(ctx context.Context) error {
	if err := forbidCoreDumps(); err != nil {
		return err
	}
	p, err := a.assemble(slog.New(slog.DiscardHandler))
	if errors.Is(err, store.ErrLocked) {
		return fault.WithHint(err, "use `agent sync` without --once")
	}
	if err != nil {
		return err
	}
	defer p.close()
	follower := newFollower(a.stderr)
	sync, err := p.agent.Once(ctx, func(text string) { follower.note(control.Event{Progress: text, Rollout: p.agent.Rollout()}) })
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
func (a *app) outcome(sync *record.Sync, err error) error {
	if err != nil && (sync == nil || sync.Error == "") {
		return err
	}
	if sync.State == record.Succeeded {
		newPrinter(a.stdout).line("%s %s: %s", sync.Ref, short(sync.Commit), sync.Summary)
		return nil
	}
	if sync.State == record.Waiting {
		newPrinter(a.stdout).line("%s %s: waiting: %s", sync.Ref, short(sync.Commit), printable(sync.Waiting))
		return errDifferent
	}
	if rollout := report.FailedRollout(sync); rollout != nil {
		printDetails(newPrinter(a.stderr), rollout)
	}
	var faults []error
	for _, one := range sync.All() {
		faults = append(faults, fault.New(fault.Place{}, one.Hint, "%s %s: %s: %s", sync.Ref, short(sync.Commit), sync.Stage, one.Error))
	}
	if back := report.RollbackText(sync); back != "" {
		faults = append(faults, fault.New(fault.Place{}, sync.Rollback.Hint, "%s %s: %s", sync.Ref, short(sync.Commit), back))
	}
	return errors.Join(faults...)
}
