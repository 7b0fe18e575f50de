package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
)

// reload reads the policy again at each signal, until ctx ends. Other settings are read at
// the start only. A policy that cannot be read changes nothing.
func (a *app) reload(ctx context.Context, signals <-chan os.Signal, daemon *agent.Agent, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		read, err := a.readPolicy()
		switch err = daemon.ReloadPolicy(read, err); {
		case err != nil:
			log.Error("cannot reload the policy: the one before stays", "error", err.Error(), "hint", fault.Hint(err))
		case read == nil:
			log.Warn("policy reloaded", "warning", policy.Warning)
		default:
			log.Info("policy reloaded", "strict", read.Strict)
		}
	}
}

// readPolicy reads the policy of the settings file, which must be valid as a whole.
func (a *app) readPolicy() (*policy.Policy, error) {
	name, _ := a.configName()
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("read settings: %w", err), "restore the file, and run systemctl reload coin-agent")
	}
	fresh := settings.Default()
	if err := fresh.ReadYAML(name, data); err != nil {
		return nil, err
	}
	return fresh.Policy, nil
}
