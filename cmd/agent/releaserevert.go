package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/release"
)

// revertFlags are the flags of the command.
type revertFlags struct {
	common proposalFlags
	revert release.Revert
	reason string
}

func revertCommand(a *app) *cobra.Command {
	var f revertFlags
	cmd := &cobra.Command{
		Use:   "revert --environment E",
		Short: "Open the merge request that takes back what brought an environment its present release",
		Long: `Open the merge request that takes back what brought an environment its present release: the
merge, the squashed commit or the plain commit that changed TAG. Only files of the
environment change. Lines that a later commit changed too are a conflict, and are shown.

The nodes roll the merged revert out as any commit, with its gates. To roll back at once,
use agent rollback, or agent rollback --group for all nodes. If an earlier run was
interrupted, the command finishes it.`,
		Example: `  agent release revert --environment production --reason "checkout fails"
  agent release revert --environment production --dry-run`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if f.revert.Environment = a.settings.Environment; f.revert.Environment == "" {
				return usageError{errors.New("name the environment with --environment")}
			}
			if f.revert.Commit != "" && !fullHash().MatchString(f.revert.Commit) {
				return usageError{fault.New(fault.Place{}, "write all 40 digits: git rev-parse REVISION", "--commit %q is not a full hash", f.revert.Commit)}
			}
			if f.reason, err = request.Reason(f.reason, false); err != nil {
				return usageError{err}
			}
			return f.run(cmd.Context(), a)
		},
	}
	f.common.add(cmd, dryRunText)
	flags := cmd.Flags()
	flags.StringVar(&f.revert.Commit, "commit", "", "the commit of the branch to take back (default: the one that brought the present release)")
	flags.StringVar(&f.reason, "reason", "", "reason; the commit and the merge request show it")
	return cmd
}

// reverted is the output of the command.
type reverted struct {
	Plan   *release.RevertPlan `json:"plan,omitempty"`
	Result proposed            `json:"result"`
}

func (f *revertFlags) run(ctx context.Context, a *app) error {
	var shown reverted
	return f.common.propose(ctx, a, change{
		branches: f.revert.Branches(), what: "revert",
		taken: func(in clone) (*proposal.Commit, error) { return f.revert.TakeUp(in.tree) },
		plan: func(in clone) (_ string, err error) {
			shown.Plan, err = f.revert.Plan(ctx, in.git, in.tree.Head().Hash)
			return "", err
		},
		commit: func(in clone) (*proposal.Commit, error) {
			return shown.Plan.Propose(in.tree, f.common.author, f.reason)
		},
		show: func(result proposed) (bool, error) {
			shown.Result = result
			different := f.common.dryRun && len(shown.Plan.Files) > 0
			return different, printScreen(a.stdout, *f.common.output, revertedScreen, shown)
		},
	})
}

// revertedScreen shows a revert: each file's diff, and what became of it.
func revertedScreen(s *page, of reverted) {
	if plan := of.Plan; plan != nil {
		s.line("reverts ", short(plan.Reverts), " ", plan.Subject)
		if plan.Back == plan.Release {
			s.line(plan.Environment, " stays at release ", plan.Release)
		} else {
			s.line(plan.Environment, " from release ", plan.Release, " to ", orDash(plan.Back))
		}
		for _, change := range plan.Changes {
			s.line("")
			s.diff(change.Diff)
		}
		for _, place := range plan.Beside {
			s.line(s.yellow("check"), " ", place, ": it is next to a line that a later commit has changed")
		}
		for _, name := range plan.Others {
			s.line("stays as it is: ", name)
		}
	}
	proposedScreen(s, of.Result)
}
