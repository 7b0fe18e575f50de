package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/state"
)

func (a *app) historyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "history", Short: "List past syncs, the newest first", Args: noArgs}
	output := outputFlag(cmd, "text", "json")
	limit := cmd.Flags().IntP("limit", "n", 20, "how many")
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

// history asks the daemon, or reads the state file when none runs.
func (a *app) history(ctx context.Context, limit int) ([]state.Sync, error) {
	syncs, err := agent.NewClient(a.settings.Socket).History(ctx, limit)
	if !errors.Is(err, agent.ErrNotRunning) {
		return syncs, err
	}
	store, err := state.OpenReadOnly(a.settings.StateDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }()
	return store.History(limit)
}

func (a *app) printHistory(syncs []state.Sync) {
	p := newPrinter(a.stdout)
	rows := make([][]string, 0, len(syncs))
	for _, sync := range syncs {
		took, what := "-", sync.Summary
		if !sync.Finished.IsZero() {
			took = sync.Finished.Sub(sync.Started).Round(100 * time.Millisecond).String()
		}
		if sync.Error != "" {
			what = sync.Stage + ": " + sync.Error
		}
		came := string(sync.State)
		if sync.Good {
			came += ", good"
		}
		rows = append(rows, []string{
			number(sync.ID), sync.Started.Local().Format(time.DateTime), short(sync.Commit), sync.Ref,
			orDash(sync.Release), sync.Trigger, took, came, what,
		})
	}
	p.table([]string{"ID", "STARTED", "COMMIT", "REF", "RELEASE", "TRIGGER", "TOOK", "STATE", "WHAT"}, rows)
}
