package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
)

func (a *app) historyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "history", Short: "List past syncs, the newest first", Args: noArgs}
	output := outputFlag(cmd, "text", "json")
	limit := cmd.Flags().IntP("limit", "n", 20, "number of syncs to list")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output, "text", "json"); err != nil {
			return err
		}
		syncs, err := a.history(cmd.Context(), *limit)
		if err != nil {
			return err
		}
		if *output == "json" {
			return printJSON(a.stdout, syncs)
		}
		a.printHistory(syncs)
		return nil
	}
	return cmd
}

// history asks the daemon. Without a daemon it reads the state file.
func (a *app) history(ctx context.Context, limit int) ([]record.Sync, error) {
	syncs, err := control.NewClient(a.settings.Socket).History(ctx, limit)
	if !errors.Is(err, control.ErrNotRunning) {
		return syncs, err
	}
	store, err := store.OpenReadOnly(a.settings.StateDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }()
	return store.History(limit)
}

func (a *app) printHistory(syncs []record.Sync) {
	p := newPrinter(a.stdout)
	rows := make([][]string, 0, len(syncs))
	for _, sync := range syncs {
		took := "-"
		if !sync.Finished.IsZero() {
			took = sync.Finished.Sub(sync.Started).Round(100 * time.Millisecond).String()
		}
		state := string(sync.State)
		if sync.Good {
			state += ", good"
		}
		rows = append(rows, []string{
			number(sync.ID), sync.Started.Local().Format(time.DateTime), short(sync.Commit), sync.Ref,
			orDash(sync.Release), triggerText(&sync), took, state, tidy(historyText(&sync)),
		})
	}
	p.table([]string{"ID", "STARTED", "COMMIT", "REF", "RELEASE", "TRIGGER", "TOOK", "STATE", "WHAT"}, rows)
}

// triggerText gives the trigger of a sync, and the user if a user of the node
// requested it.
func triggerText(sync *record.Sync) string {
	if sync.Actor.By == audit.ByUser {
		return string(sync.Trigger) + " by " + sync.Actor.String()
	}
	return string(sync.Trigger)
}

// historyText gives the result of a sync in a line.
func historyText(sync *record.Sync) string {
	switch {
	case sync.Error == "" && sync.State == record.Waiting:
		return "waiting: " + sync.Waiting
	case sync.Error == "":
		return sync.Summary
	case sync.State == record.RolledBack:
		return sync.Summary + ", after " + string(sync.Stage) + ": " + sync.Error
	}
	text := string(sync.Stage) + ": " + sync.Error
	if back := sync.Rollback; back != nil && back.Refused != "" {
		text += "; not rolled back: " + back.Refused
	}
	return text
}
