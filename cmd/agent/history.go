package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/durations"
	"coin.internal/coin-agent/internal/fault"
)

func historyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "history", Short: "List past syncs, the newest first", Args: noArgs,
		Example: "  agent history --failed --since 7d\n  agent history --service api --author anna -n 5",
	}
	output := outputFlag(cmd, "text", "json")
	var query record.Query
	var state, since string
	flags := cmd.Flags()
	flags.IntVarP(&query.Limit, "limit", "n", 20, "number of syncs to list")
	flags.BoolVar(&query.Failed, "failed", false, "only syncs that failed or were rolled back")
	flags.StringVar(&state, "state", "", "only syncs in this state, such as waiting or succeeded")
	flags.StringVar(&query.Service, "service", "", "only syncs whose plan changes this service")
	flags.StringVar(&query.Author, "author", "", "only syncs whose author or actor has this in the name")
	flags.StringVar(&since, "since", "", "only syncs that began since then: 24h, 7d, 2026-01-31 or a time such as 2026-01-31T08:00:00Z")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if query.State = record.State(state); state != "" && !query.State.Known() {
			return usageError{fault.New(fault.Place{}, "use pending, waiting, running, succeeded, failed, rolled_back or superseded", "unknown state %q", state)}
		}
		if query.Since, err = sinceWhen(since, time.Now()); err != nil {
			return usageError{err}
		}
		if query.Limit < 1 {
			return usageError{fault.New(fault.Place{}, "leave it out for 20", "--limit %d lists nothing", query.Limit)}
		}
		syncs, err := readHistory(cmd.Context(), a, query)
		if err != nil {
			return err
		}
		return printScreen(a.stdout, *output, historyScreen, syncs)
	}
	return cmd
}

// sinceWhen reads a time, a day, or how long ago it was; "" gives the zero time.
func sinceWhen(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if at, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return at, nil
	}
	ago, err := durations.Parse(text)
	if err != nil {
		return time.Time{}, fault.New(fault.Place{}, "write 24h, 7d, 2026-01-31 or 2026-01-31T08:00:00Z", "%q is not a time", text)
	}
	return now.Add(-ago), nil
}

// readHistory reads the syncs that a query selects, the newest first.
func readHistory(ctx context.Context, a *app, query record.Query) ([]record.Sync, error) {
	client := a.client()
	syncs, err := pages(query, func(query record.Query) (record.Page, error) { return client.Page(ctx, query) })
	return orStateFile(&a.settings, syncs, err, func(s *store.Store) ([]record.Sync, error) { return pages(query, s.Page) })
}

// pageSize is how many syncs are asked for at once.
const pageSize = 200

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
