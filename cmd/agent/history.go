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
		syncs, err := readHistory(cmd.Context(), &a.settings, record.Query{Limit: *limit})
		if err != nil {
			return err
		}
		return printScreen(a.stdout, *output, "history", syncs)
	}
	return cmd
}

// readHistory reads the syncs that a query selects, the newest first.
func readHistory(ctx context.Context, settings *settings.Settings, query record.Query) ([]record.Sync, error) {
	client := control.NewClient(settings.Socket)
	syncs, err := pages(query, func(query record.Query) (record.Page, error) { return client.Page(ctx, query) })
	return orStateFile(settings, syncs, err, func(s *store.Store) ([]record.Sync, error) { return pages(query, s.Page) })
}

// pages reads pages of the history until they have as many syncs as a query asks for.
func pages(query record.Query, page func(record.Query) (record.Page, error)) ([]record.Sync, error) {
	syncs, limit := []record.Sync{}, query.Limit
	for len(syncs) < limit {
		query.Limit = min(limit-len(syncs), pageSize)
		part, err := page(query)
		if err != nil {
			return nil, err
		}
		syncs = append(syncs, part.Syncs...)
		if query.Before = part.Next; query.Before == 0 {
			break
		}
	}
	return syncs, nil
}

// pageSize is how many syncs are asked for at once.
const pageSize = 200

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
