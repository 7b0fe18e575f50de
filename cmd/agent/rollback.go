package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
)

// rollbackFlags are the flags of the command.
type rollbackFlags struct {
	request request.Rollback
	yes     bool
	dryRun  bool
	output  string
}

func (a *app) rollbackCommand() *cobra.Command {
	var f rollbackFlags
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Roll back to a good state, and stay pinned there until the next commit or `agent resume`",
		Long: `Roll back to a recorded good state, service by service, with the secret versions
and the image digests it had. A rollback does not need git or GitLab. The node stays
pinned there until the next commit that concerns it, or until agent resume.

Without --to, the target is the good state before the one that runs. After a failed
rollout, the target is the last good state. agent history marks the good states. Jobs
do not run again.`,
		Example: `  agent rollback --dry-run
  agent rollback --reason "the checkout fails" --yes
  agent rollback --to 12 --service client_api`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(f.output, "text", "json"); err != nil {
				return err
			}
			return a.rollback(cmd.Context(), f, cmd.InOrStdin())
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.request.To, "to", 0, "the good state to roll back to: the ID of its sync in agent history")
	flags.StringSliceVar(&f.request.Services, "service", nil, "roll back only this service; may be given several times")
	flags.StringVar(&f.request.Reason, "reason", "", "reason; the history, the audit log and GitLab show it")
	flags.BoolVar(&f.yes, "yes", false, "do not ask for confirmation")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show the plan and change nothing")
	flags.BoolVar(&f.request.Force, "force-migrations", false, "roll back even if the database has migrations that are newer than the good state; it is recorded")
	flags.StringVarP(&f.output, "output", "o", "text", "output: text or json")
	return cmd
}

// rollback shows the plan, asks for confirmation, and rolls back by exactly that plan.
func (a *app) rollback(ctx context.Context, f rollbackFlags, stdin io.Reader) error {
	asking := !f.yes && !f.dryRun
	if asking && f.output == "json" {
		return usageError{fault.New(fault.Place{}, "add --yes, or --dry-run to see the plan", "with -o json the command does not ask")}
	}
	if file, ok := stdin.(*os.File); asking && (!ok || !isatty.IsTerminal(file.Fd())) {
		return usageError{fault.New(fault.Place{}, "add --yes, or --dry-run to see the plan", "there is no terminal to ask on")}
	}
	client := control.NewClient(a.settings.Socket)
	plan, err := client.PlanRollback(ctx, f.request)
	if err != nil {
		return err
	}
	if err := a.printRollback(plan, f); err != nil || f.dryRun {
		return err
	}
	if asking && !a.confirmed(stdin) {
		return errors.New("nothing was changed")
	}
	f.request.To, f.request.Digest = plan.To, plan.Digest
	follower := newFollower(a.stderr)
	sync, err := client.Rollback(ctx, f.request, follower.note)
	follower.close()
	if err != nil && sync == nil {
		if after, planErr := client.PlanRollback(ctx, f.request); planErr == nil && after.Digest != plan.Digest {
			err = errors.Join(err, a.printRollback(after, f))
		}
		return err
	}
	return a.rolledBack(sync, err, f.output)
}

// printRollback shows the good state to roll back to, and the plan as agent diff does.
func (a *app) printRollback(plan *request.RollbackPlan, f rollbackFlags) error {
	if f.output == "json" {
		if f.dryRun {
			return printJSON(a.stdout, plan)
		}
		return nil
	}
	what := "the stack"
	if len(plan.Services) > 0 {
		what = strings.Join(plan.Services, ", ")
	}
	p := newPrinter(a.stdout)
	p.line("%s will roll back to %s (sync #%d), verified at %s", what, releaseOf(plan.Release, plan.Commit), plan.To, plan.At.Local().Format(time.DateTime))
	if plan.Plan.Empty() {
		for _, warning := range plan.Plan.Warnings {
			p.line("%s", p.paint(yellow, "warning: "+warning))
		}
		p.line("no changes: the rollback will only verify the services and pin the node")
		return nil
	}
	a.printPlan(plan.Plan)
	return nil
}

func releaseOf(release, commit string) string {
	if release != "" {
		return release
	}
	return short(commit)
}

func (a *app) confirmed(stdin io.Reader) bool {
	_, _ = fmt.Fprint(a.stdout, "roll back? [y/N] ")
	answer, _ := bufio.NewReader(stdin).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// rolledBack prints the result of a rollback.
func (a *app) rolledBack(sync *record.Sync, err error, output string) error {
	if err != nil {
		return err
	}
	if output == "json" {
		if err := printJSON(a.stdout, sync); err != nil {
			return err
		}
	}
	if sync.State != record.RolledBack {
		return fault.New(fault.Place{}, sync.Hint, "%s", sync.Error)
	}
	if output == "text" {
		newPrinter(a.stdout).line("%s; `agent resume` follows %s again", sync.Summary, sync.Ref)
	}
	return nil
}
