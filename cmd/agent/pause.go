package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/request"
)

func pauseCommand(a *app) *cobra.Command {
	var asked request.Pause
	cmd := &cobra.Command{
		Use:   "pause --reason TEXT",
		Short: "Start no rollouts on this node for a time, or until `agent resume`",
		Long: `Start no rollouts on this node for a time, or until agent resume.

New commits wait, even if a user runs agent sync. The agent does not correct drift. A
running rollout will finish, and agent rollback works. The pause survives restarts.
agent status and the commit that waits show it.`,
		Example: `  agent pause --for 2h --reason "the database is being moved"`,
		Args:    noArgs,
	}
	cmd.Flags().StringVar(&asked.For, "for", "", "duration, such as 2h (default: until agent resume)")
	cmd.Flags().StringVar(&asked.Reason, "reason", "", "reason; it is recorded (required)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := wantReason(asked.Reason); err != nil {
			return err
		}
		if asked.For != "" {
			if length, err := time.ParseDuration(asked.For); err != nil || length <= 0 {
				return usageError{fmt.Errorf("--for %q is not a valid duration: write it as 2h or 30m", asked.For)}
			}
		}
		pause, err := a.client().Pause(cmd.Context(), asked)
		if err != nil {
			return err
		}
		newPrinter(a.stdout).line("paused until %s; a running rollout will finish", pauseEnd(pause))
		return nil
	}
	return cmd
}

func resumeCommand(a *app) *cobra.Command {
	var asked request.Resume
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "End a pause, and unpin the node after a rollback",
		Long: `End a pause, and unpin the node after a rollback.

After a rollback the node stays pinned until a new commit or this command. The
rollout that is due then starts at once, unless another gate waits.`,
		Example: `  agent resume --reason "the database is back"`,
		Args:    noArgs,
	}
	cmd.Flags().StringVar(&asked.Reason, "reason", "", "reason; it is recorded")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ended, err := a.client().Resume(cmd.Context(), asked)
		if err != nil {
			return err
		}
		p := newPrinter(a.stdout)
		if ended.Pause != nil {
			p.line("resumed: the pause by %s (%s) has ended", ended.Pause.Actor, printable(ended.Pause.Reason))
		}
		if ended.Pin != "" {
			p.line("resumed: the node is no longer pinned at %s", short(ended.Pin))
		}
		return nil
	}
	return cmd
}

// wantReason refuses a command line without a reason as wrong usage.
func wantReason(reason string) error {
	if reason == "" {
		return usageError{fmt.Errorf("--reason is missing: give a reason, which is recorded")}
	}
	return nil
}
