package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/fault"
)

// reportLimit is how long `sync --once` tries to deliver its reports to GitLab.
const reportLimit = 30 * time.Second

const syncHelp = `Sync now; a held or waiting revision is tried again.

If auto_deploy is off, this command starts the waiting rollout. It does not replace an
approval, and it does not end a pause or a freeze. With --override-freeze and a reason,
which is recorded, the rollout does not wait for the end of a freeze.

With --to, the sync rolls out a tag that the agent does not follow by itself, such as an
older one. The node stays at it until a newer tag is pushed than the one it followed.

With --once --adopt, the first sync of a node adopts the stack that another tool has
deployed, without showing the plan; the audit log records the user. It has no effect
once a stack is on record: agent adopt adopts another one.

With --wait or --once the exit code is 3 if the rollout waits at a gate; with --once it is
1 if its statuses were not delivered.`

func syncCommand(a *app) *cobra.Command {
	var once, dryRun, wait, overrideFreeze bool
	var why string
	var asked agent.Asked
	cmd := &cobra.Command{
		Use:     "sync",
		Short:   "Sync now; a held or waiting revision is tried again",
		Long:    syncHelp,
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
			options.To = asked.To
			if err := checkOnce(once, asked.Adopt, a.stack); err != nil {
				return err
			}
			if once || dryRun {
				if err := a.here("sync --once or --dry-run"); err != nil {
					return err
				}
			}
			switch {
			case dryRun:
				return diff(cmd.Context(), a, diffFlags{files: checkoutFlags{revision: asked.To, stack: a.stack}}, "text")
			case once:
				return syncOnce(cmd.Context(), a, asked)
			case wait:
				return eachStack(cmd.Context(), a, func(client *control.Client, _ string) error {
					return a.outcome(followed(a, func(progress func(control.Event)) (*record.Sync, error) {
						return client.Sync(cmd.Context(), options, progress)
					}))
				})
			}
			return eachStack(cmd.Context(), a, func(client *control.Client, stack string) error {
				if _, err := client.Sync(cmd.Context(), options, nil); err != nil {
					return err
				}
				requestedFrom(cmd.Context(), a, client, stack)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "run one sync in this process, without the daemon")
	cmd.Flags().StringVar(&asked.To, "to", "", "roll out this tag, which need not be the newest; it is recorded")
	cmd.Flags().BoolVar(&asked.Adopt, "adopt", false, "with --once: adopt what the first sync takes over from another tool")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the plan and change nothing; exit code 3 if there are changes")
	cmd.Flags().BoolVar(&wait, "wait", false, "show the progress until the sync ends")
	cmd.Flags().BoolVar(&overrideFreeze, "override-freeze", false, "do not wait for the end of a freeze")
	cmd.Flags().StringVar(&why, "reason", "", "reason for overriding the freeze; it is recorded")
	return cmd
}

// checkOnce refuses what does not go with --once, or without it.
func checkOnce(once, adopt bool, stack string) error {
	switch {
	case adopt && !once:
		return usageError{fault.New(fault.Place{}, "add --once, or run `agent adopt`", "--adopt needs --once")}
	case once && stack != "":
		return usageError{fault.New(fault.Place{}, "leave out --stack", "--once syncs each stack of the node")}
	}
	return nil
}

// requestedFrom says that a sync was requested, and what holds it.
func requestedFrom(ctx context.Context, a *app, client *control.Client, stack string) {
	p := newPrinter(a.stdout)
	status, err := client.Status(ctx)
	switch {
	case err == nil && status.Mode != "":
		p.line("%ssync requested; the agent only observes (mode: observe): `agent status` shows what it would change", of(stack))
	case err == nil && status.Pause != nil:
		p.line("%ssync requested; it waits: paused by %s (%s) until %s", of(stack), status.Pause.Actor, printable(status.Pause.Reason), pauseEnd(status.Pause))
	default:
		p.line("%ssync requested; `agent status` shows the progress", of(stack))
	}
}

// freezeOptions refuses an override without a reason, and a reason without one.
func freezeOptions(cmd *cobra.Command, why string) (request.Sync, error) {
	override, _ := cmd.Flags().GetBool("override-freeze")
	switch {
	case !override && why != "":
		return request.Sync{}, usageError{errors.New("--reason needs --override-freeze")}
	case !override:
		return request.Sync{}, nil
	}
	if err := errors.Join(onlyOne(cmd, "override-freeze", "once"), onlyOne(cmd, "override-freeze", "dry-run")); err != nil {
		return request.Sync{}, usageError{err}
	}
	return request.Sync{OverrideFreeze: true, Reason: why}, wantReason(why)
}

// syncOnce runs one sync in this process.
func syncOnce(ctx context.Context, a *app, asked agent.Asked) error {
	return a.alone(ctx, "use `agent sync` without --once", func(p *parts) error { return a.outcome(syncNow(ctx, a, p, asked)) })
}

// syncNow runs one sync in this process, and shows its progress.
func syncNow(ctx context.Context, a *app, p *parts, asked agent.Asked) (*record.Sync, error) {
	return followed(a, func(progress func(control.Event)) (*record.Sync, error) {
		return p.agent.Once(ctx, asked, func(text string) { progress(control.Event{Progress: text, Rollout: p.agent.Rollout()}) })
	})
}

// alone does something with an agent in this process, and delivers its reports. Only one
// agent at a time can open the state file, so it never runs while the daemon runs: the hint
// says what to do then.
func (a *app) alone(ctx context.Context, hint string, do func(*parts) error) error {
	if err := forbidCoreDumps(); err != nil {
		return err
	}
	p, err := a.assemble(slog.New(slog.DiscardHandler))
	if errors.Is(err, store.ErrLocked) {
		return fault.WithHint(err, hint)
	}
	if err != nil {
		return err
	}
	defer p.close()
	err = do(p)
	limited, cancel := context.WithTimeout(ctx, reportLimit)
	defer cancel()
	if p.outbox != nil {
		err = errors.Join(err, p.outbox.Flush(limited))
	}
	if p.anchors != nil {
		if late := p.anchors.Flush(limited); late != nil { // the next sync anchors this one too
			printFault(a.stderr, "warning", late)
		}
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
		if err := printPage(newPrinter(a.stderr), detailsScreen, rollout); err != nil {
			return err
		}
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
