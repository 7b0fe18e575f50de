package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/request"
)

func (a *app) pauseCommand() *cobra.Command {
	var asked request.Pause
	cmd := &cobra.Command{
		Use:   "pause --reason TEXT",
		Short: "Begin no rollouts on this node for a while, or until somebody resumes",
		Long: `Begin no rollouts on this node for a while, or until somebody resumes.

New commits wait, also where somebody says agent sync, and no drift is corrected. A
rollout that has begun goes on to its end, and agent rollback works. The pause
survives restarts and is shown in agent status and at the commit that waits.`,
		Example: `  agent pause --for 2h --reason "the database is being moved"`,
		Args:    noArgs,
	}
	cmd.Flags().StringVar(&asked.For, "for", "", "how long, such as 2h (default until somebody resumes)")
	cmd.Flags().StringVar(&asked.Reason, "reason", "", "why; it is recorded (required)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := wantReason(asked.Reason); err != nil {
			return err
		}
		if asked.For != "" {
			if length, err := time.ParseDuration(asked.For); err != nil || length <= 0 {
				return usageError{fmt.Errorf("--for %q is no time to pause for: write it as 2h or 30m", asked.For)}
			}
		}
		pause, err := control.NewClient(a.settings.Socket).Pause(cmd.Context(), asked)
		if err != nil {
			return err
		}
		until := "somebody says `agent resume`"
		if !pause.Until.IsZero() {
			until = gates.Clock(pause.Until.Local(), time.Now())
		}
		newPrinter(a.stdout).line("paused until %s; what has begun goes on", until)
		return nil
	}
	return cmd
}

func (a *app) resumeCommand() *cobra.Command {
	var asked request.Resume
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "End a pause, and roll out again what a rollback has taken back",
		Long: `End a pause, and roll out again what a rollback has taken back.

After a rollback the node stays where it went until a new commit comes, or until this
command. What is due then begins at once, if nothing else keeps it waiting.`,
		Example: `  agent resume --reason "the database is back"`,
		Args:    noArgs,
	}
	cmd.Flags().StringVar(&asked.Reason, "reason", "", "why; it is recorded")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ended, err := control.NewClient(a.settings.Socket).Resume(cmd.Context(), asked)
		if err != nil {
			return err
		}
		p := newPrinter(a.stdout)
		if ended.Pause != nil {
			p.line("resumed: the pause by %s (%s) is over", ended.Pause.Actor, printable(ended.Pause.Reason))
		}
		if ended.Pin != "" {
			p.line("resumed: the node no longer stays at %s, to which it was rolled back", short(ended.Pin))
		}
		return nil
	}
	return cmd
}

// wantReason refuses a command line without a reason as wrong usage.
func wantReason(reason string) error {
	if reason == "" {
		return usageError{fmt.Errorf("--reason is missing: say why, it is recorded")}
	}
	return nil
}
