package main

import (
	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

func retryCommand(a *app) *cobra.Command {
	var asked request.Retry
	var wait bool
	cmd := &cobra.Command{
		Use:   "retry",
		Short: "Try the held revision again",
		Long: `Try the held revision again.

A failed revision is held until a new commit or this command. Use the command if the
cause of the failure was outside the revision. It fails if no revision is held.`,
		Example: `  agent retry --wait --reason "the database has room again"`,
		Args:    noArgs,
	}
	cmd.Flags().StringVar(&asked.Reason, "reason", "", "reason; it is recorded")
	cmd.Flags().BoolVar(&wait, "wait", false, "show the progress until the sync ends")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client := a.client()
		if wait {
			return a.outcome(followed(a, func(progress func(control.Event)) (*record.Sync, error) {
				return client.Retry(cmd.Context(), asked, progress)
			}))
		}
		if _, err := client.Retry(cmd.Context(), asked, nil); err != nil {
			return err
		}
		newPrinter(a.stdout).line("retry requested; `agent status` shows the progress")
		return nil
	}
	return cmd
}
