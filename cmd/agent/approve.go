package main

import (
	"errors"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/request"
)

func approveCommand(a *app) *cobra.Command {
	var asked request.Approve
	cmd := &cobra.Command{
		Use:   "approve REV --reason TEXT",
		Short: "Approve the plan of the commit that waits for approval",
		Long: `Approve the plan of the commit that waits for approval.

The approval replaces the merge request approvals that config.yml requires. It is
valid for this plan only. agent status, the history, the audit log and the commit in
GitLab show the user and the reason. agent diff shows the plan.

On a node with several stacks, --stack names the one whose plan waits. If a commit took
that stack off the list of the node, the approval has it removed. A freeze holds the
removal; --override-freeze lifts that, with the approval or with a second one.`,
		Example: `  agent approve 79f141c9f3 --reason "GitLab is down, agreed with the board by phone"
  agent approve 79f141c9f3 --stack business --reason "moved to node4"`,
		Args: takes(cobra.ExactArgs(1), errors.New("name the commit that waits: agent approve REV --reason TEXT")),
	}
	cmd.Flags().StringVar(&asked.Reason, "reason", "", "reason; it is recorded (required)")
	cmd.Flags().StringVar(&asked.Plan, "plan", "", "digest of the plan that you reviewed, or its first characters (default: the current plan)")
	cmd.Flags().BoolVar(&asked.OverrideFreeze, "override-freeze", false, "have the removal of a stack not wait for the end of a freeze; it is recorded")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := wantReason(asked.Reason); err != nil {
			return err
		}
		asked.Commit = args[0]
		approval, err := a.client().Approve(cmd.Context(), asked)
		if err != nil {
			return err
		}
		if approval.PlanDigest == "" { // the removal of a stack has no plan
			newPrinter(a.stdout).line("approved: the removal of stack %s; `agent status` shows the progress", a.stack)
			return nil
		}
		newPrinter(a.stdout).line("approved: plan %s of %s; `agent status` shows the progress", short(approval.PlanDigest), asked.Commit)
		return nil
	}
	return cmd
}
