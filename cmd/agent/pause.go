package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/durations"
	"coin.internal/coin-agent/internal/fault"
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
	cmd.Flags().StringVar(&asked.For, "for", "", "duration, such as 2h or 2d (default: until agent resume)")
	until := cmd.Flags().String("until", "", "time at which the pause ends, such as 18:30, 2026-01-31T08:00 or 2026-01-31T08:00:00Z")
	cmd.Flags().StringVar(&asked.Reason, "reason", "", "reason; it is recorded (required)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := wantReason(asked.Reason); err != nil {
			return err
		}
		if err := onlyOne(cmd, "for", "until"); err != nil {
			return err
		}
		if *until != "" {
			at, err := untilWhen(*until, time.Now())
			if err != nil {
				return usageError{err}
			}
			asked.For = (time.Until(at) + time.Second).Truncate(time.Second).String() // not a moment before it
		}
		if asked.For != "" {
			length, err := durations.Parse(asked.For)
			switch {
			case err != nil:
				return usageError{fault.New(fault.Place{}, fault.Hint(err), "--for %w", err)}
			case length <= 0:
				return usageError{fault.New(fault.Place{}, "write it as 2h, 30m or 2d", "--for %s is no time", asked.For)}
			}
		}
		return eachStack(cmd.Context(), a, func(client *control.Client, stack string) error {
			pause, err := client.Pause(cmd.Context(), asked)
			if err == nil {
				newPrinter(a.stdout).line("%spaused until %s; a running rollout will finish", of(stack), pauseEnd(pause))
			}
			return err
		})
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
		return resume(cmd.Context(), a, asked)
	}
	return cmd
}

// resume ends what holds the stacks. Of several, some may have nothing to resume.
func resume(ctx context.Context, a *app, asked request.Resume) error {
	var refused error
	resumed := 0
	err := eachStack(ctx, a, func(client *control.Client, stack string) error {
		ended, err := client.Resume(ctx, asked)
		if err != nil && stack != a.stack && fault.CodeOf(err) == fault.CodeRefused {
			refused = err
			return nil
		}
		if err != nil {
			return err
		}
		resumed++
		p := newPrinter(a.stdout)
		if ended.Pause != nil {
			p.line("%sresumed: the pause by %s (%s) has ended", of(stack), ended.Pause.Actor, printable(ended.Pause.Reason))
		}
		if ended.Pin != "" {
			p.line("%sresumed: the node is no longer pinned at %s", of(stack), short(ended.Pin))
		}
		return nil
	})
	if err == nil && resumed == 0 {
		err = refused
	}
	return err
}

// untilWhen reads a time that is to come. A time without a zone is of this machine's, and a time
// without a day is the next one.
func untilWhen(text string, now time.Time) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02 15:04"} {
		if err != nil {
			at, err = time.ParseInLocation(layout, text, now.Location())
		}
	}
	if err != nil {
		var of time.Time
		if of, err = time.Parse("15:04", text); err == nil {
			at = time.Date(now.Year(), now.Month(), now.Day(), of.Hour(), of.Minute(), 0, 0, now.Location())
			if !at.After(now) {
				at = at.AddDate(0, 0, 1)
			}
		}
	}
	if err != nil {
		return at, fault.New(fault.Place{}, "write 18:30, 2026-01-31T08:00 or 2026-01-31T08:00:00Z", "%q is not a time", text)
	}
	if !at.After(now) {
		return at, fault.New(fault.Place{}, "name a time that is to come", "%s is over", text)
	}
	return at, nil
}

// wantReason refuses a command line without a reason as wrong usage.
func wantReason(reason string) error {
	if reason == "" {
		return usageError{fmt.Errorf("--reason is missing: give a reason, which is recorded")}
	}
	return nil
}
