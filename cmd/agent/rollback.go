package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/fault"
)

// rollbackFlags are the flags of the command.
type rollbackFlags struct {
	request request.Rollback
	all     groupFlags
	yes     bool
	dryRun  bool
	once    bool
	output  *string
}

func rollbackCommand(a *app) *cobra.Command {
	var f rollbackFlags
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Roll back to a good state, and stay pinned there until the next commit or `agent resume`",
		Long: `Roll back to a recorded good state, service by service, with the secret versions
and the image digests it had. A rollback does not need git or GitLab. The node stays
pinned there until the next commit that concerns it, or until agent resume.

Without --to, the target is the good state before the one that runs. After a failed
rollout, the target is the last good state. agent history marks the good states. Jobs
do not run again.

With --once it needs no daemon: it runs the rollback in this process, with the same checks,
and looks at no commit. The daemon keeps the pin when it starts.

With --group, all nodes of the environment roll back, one after the other, each to its own
good state; one that is back already stays as it is. Nothing changes if one of them cannot be
reached or refuses, unless --partial is given; the exit code is 3 then. The token goes to
the addresses of --api, or to nodes[].url of config.yml.`,
		Example: `  agent rollback --dry-run
  agent rollback --reason "the checkout fails" --yes
  agent rollback --to 12 --service client_api
  agent rollback --once --reason "the daemon does not start"
  agent rollback --group --environment production --token-file ~/operate-token --reason "the checkout fails"`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(f.all.check(a, f.request), onlyOne(cmd, "once", "group")); err != nil {
				return err
			}
			switch {
			case f.all.group:
				return rollbackGroup(cmd.Context(), a, f, cmd.InOrStdin())
			case f.once:
				return rollbackOnce(cmd.Context(), a, f, cmd.InOrStdin())
			}
			return rollback(cmd.Context(), a, a.client(), f, cmd.InOrStdin())
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.request.To, "to", 0, "the good state to roll back to: the ID of its sync in agent history")
	flags.StringSliceVar(&f.request.Services, "service", nil, "roll back only this service; may be given several times")
	flags.StringVar(&f.request.Reason, "reason", "", "reason; the history, the audit log and GitLab show it")
	flags.BoolVar(&f.yes, "yes", false, "do not ask for confirmation")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show the plan and change nothing; exit code 3 if there are changes")
	flags.BoolVar(&f.once, "once", false, "run the rollback in this process, without the daemon")
	flags.BoolVar(&f.request.Force, "force-migrations", false, "roll back even if the database has migrations that are newer than the good state; it is recorded")
	f.output = outputFlag(cmd, "text", "json")
	f.all.add(cmd)
	return cmd
}

// backer plans and does a rollback: the daemon behind its socket, or this process.
type backer interface {
	PlanRollback(ctx context.Context, asked request.Rollback) (*request.RollbackPlan, error)
	Rollback(ctx context.Context, asked request.Rollback, progress func(control.Event)) (*record.Sync, error)
}

// canAsk refuses to ask a user who cannot answer.
func canAsk(f rollbackFlags, stdin io.Reader) error {
	asking := !f.yes && !f.dryRun
	if asking && *f.output == "json" {
		return usageError{fault.New(fault.Place{}, "add --yes, or --dry-run to see the plan", "with -o json the command does not ask")}
	}
	if asking && !isTerminal(stdin) {
		return usageError{fault.New(fault.Place{}, "add --yes, or --dry-run to see the plan", "there is no terminal to ask on")}
	}
	return nil
}

// rollback shows the plan, asks for confirmation, and rolls back by exactly that plan.
func rollback(ctx context.Context, a *app, by backer, f rollbackFlags, stdin io.Reader) error {
	if err := canAsk(f, stdin); err != nil {
		return err
	}
	plan, err := by.PlanRollback(ctx, f.request)
	if err != nil {
		return err
	}
	if err := printRollbackPlan(a.stdout, plan, f); err != nil || f.dryRun {
		return differentIf(len(plan.Plan.Steps) > 0, err)
	}
	if !f.yes && !confirmed(ctx, stdin, a.stdout, "roll back?") {
		return errors.New("nothing was changed")
	}
	f.request.To, f.request.Digest = plan.To, plan.Digest
	sync, err := followed(a, func(progress func(control.Event)) (*record.Sync, error) {
		return by.Rollback(ctx, f.request, progress)
	})
	if err != nil && sync == nil {
		if after, planErr := by.PlanRollback(ctx, f.request); planErr == nil && after.Digest != plan.Digest {
			err = errors.Join(err, printRollbackPlan(a.stdout, after, f))
		}
		return err
	}
	return rolledBack(a.stdout, sync, err, *f.output)
}

// printRollbackPlan shows the good state to roll back to, and the plan as agent diff does.
func printRollbackPlan(stdout io.Writer, plan *request.RollbackPlan, f rollbackFlags) error {
	if *f.output == "json" {
		if f.dryRun {
			return printJSON(stdout, plan)
		}
		return nil
	}
	return printPage(newPrinter(stdout), rollbackScreen, plan)
}

// confirmed asks a user a question. A user who interrupts the command does not confirm.
func confirmed(ctx context.Context, stdin io.Reader, stdout io.Writer, question string) bool {
	_, _ = fmt.Fprint(stdout, question+" [y/N] ")
	answer, _ := apart.Do(ctx, func() (string, error) { return bufio.NewReader(stdin).ReadString('\n') }, nil)
	if ctx.Err() != nil {
		_, _ = fmt.Fprintln(stdout)
		return false
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// rolledBack prints the result of a rollback.
func rolledBack(stdout io.Writer, sync *record.Sync, err error, output string) error {
	if err != nil {
		return err
	}
	if output == "json" {
		if err := printJSON(stdout, sync); err != nil {
			return err
		}
	}
	if sync.State != record.RolledBack {
		return fault.New(fault.Place{}, sync.Hint, "%s", sync.Error)
	}
	if output == "text" {
		newPrinter(stdout).line("%s; `agent resume` follows %s again", sync.Summary, sync.Ref)
	}
	return nil
}
