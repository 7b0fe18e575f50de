package main

import (
	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/request"
)

func (a *app) retryCommand() *cobra.Command {
	var asked request.Retry
	var wait bool
	cmd := &cobra.Command{
		Use:   "retry",
		Short: "Try the held revision again",
		Long: `Try the held revision again.

A revision that has failed is held until a new commit comes, or until this command. It
is for failures whose cause lay outside the revision, and is refused where none is held.`,
		Example: `  agent retry --wait --reason "the database has room again"`,
		Args:    noArgs,
	}
	cmd.Flags().StringVar(&asked.Reason, "reason", "", "why; it is recorded")
	cmd.Flags().BoolVar(&wait, "wait", false, "follow it to its end")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client := control.NewClient(a.settings.Socket)
		if !wait {
			if _, err := client.Retry(cmd.Context(), asked, nil); err != nil {
				return err
			}
			newPrinter(a.stdout).line("it is tried again; `agent status` shows how it goes")
			return nil
		}
		follower := newFollower(a.stderr)
		sync, err := client.Retry(cmd.Context(), asked, follower.note)
		follower.close()
		return a.outcome(sync, err)
	}
	return cmd
}
