package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"coin.internal/coin-agent/agent/store"
)

// later has services begin after a wait.
func later(wait time.Duration, services []func(context.Context) error) []func(context.Context) error {
	all := make([]func(context.Context) error, 0, len(services))
	for _, service := range services {
		all = append(all, func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wait):
				return service(ctx)
			}
		})
	}
	return all
}

// lastRun gives when an agent ran last with the state in a folder; zero if none did.
func lastRun(stateDir string) time.Time {
	file, err := os.Stat(filepath.Join(stateDir, store.FileName))
	if err != nil {
		return time.Time{}
	}
	return file.ModTime()
}
