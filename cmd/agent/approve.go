package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/request"
)

func (a *app) approveCommand() *cobra.Command {
	var asked request.Approve
	cmd := &cobra.Command{
		Use:   "approve REV --reason TEXT",
		Short: "Approve the plan of the commit that waits for approval",
		Long: `Approve the plan of the commit that waits for approval.

It stands in place of the approvals that config.yml asks of the merge request, holds
for this very plan only, and is recorded with who and why: in agent status, in the
history, in the audit log, and at the commit in GitLab. agent diff shows the plan.`,
		Example: `  agent approve 79f141c9f3 --reason "GitLab is down, agreed with the board by phone"`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("name the commit that waits: agent approve REV --reason TEXT")}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&asked.Reason, "reason", "", "why; it is recorded (required)")
	cmd.Flags().StringVar(&asked.Plan, "plan", "", "the digest of the plan that was looked at, or how it begins (default the present plan)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := wantReason(asked.Reason); err != nil {
			return err
		}
		asked.Commit = args[0]
		approval, err := control.NewClient(a.settings.Socket).Approve(cmd.Context(), asked)
		if err != nil {
			return err
		}
		newPrinter(a.stdout).line("approved: plan %s of %s; `agent status` shows how it goes", short(approval.PlanDigest), asked.Commit)
		return nil
	}
	return cmd
}
