package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/store"
)

func historyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "history", Short: "List past syncs, the newest first", Args: noArgs}
	output := outputFlag(cmd, "text", "json")
	limit := cmd.Flags().IntP("limit", "n", 20, "number of syncs to list")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		syncs, err := readHistory(cmd.Context(), &a.settings, *limit)
		if err != nil {
			return err
		}
		return printScreen(a.stdout, *output, historyScreen, syncs)
	}
	return cmd
}

// readHistory reads up to limit syncs, the newest first.
func readHistory(ctx context.Context, settings *settings.Settings, limit int) ([]record.Sync, error) {
	asked, err := control.NewClient(settings.Socket).History(ctx, limit)
	return orStateFile(settings, asked, err, func(s *store.Store) ([]record.Sync, error) { return s.History(limit) })
}

// orStateFile gives the daemon's answer. Without a daemon it reads the state file.
func orStateFile[T any](settings *settings.Settings, answer T, err error, read func(*store.Store) (T, error)) (T, error) {
	if errors.Is(err, control.ErrNotRunning) {
		return fromStateFile(settings, read)
	}
	return answer, err
}

// fromStateFile gives what read finds in the state file. Commands use it if no daemon runs.
func fromStateFile[T any](settings *settings.Settings, read func(*store.Store) (T, error)) (T, error) {
	opened, err := store.OpenReadOnly(settings.StateDir)
	if err != nil {
		var none T
		return none, err
	}
	defer func() { _ = opened.Close() }()
	return read(opened)
}
