package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
)

// reloaded is what a signal has read again.
type reloaded struct {
	daemon *agent.Agent
	api    *api // nil: there is none

	metrics *access.Exposition // for other machines; nil: there is none
}

// reloadOn reads the policy, the API's tokens and certificate, and the log level again at each
// signal, until ctx ends. Other settings are read at the start only. Tokens come first, and what fails keeps
// none of the others from being reloaded: a token that is taken away must not stay.
func reloadOn(ctx context.Context, a *app, signals <-chan os.Signal, current reloaded, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		fresh, unread := readAgain(a)
		if current.api != nil {
			current.api.reload(fresh, unread, current.daemon, log)
		}
		if unread == nil && !a.overridden["log_level"] {
			if err := a.setLevel(fresh.LogLevel); err != nil {
				log.Error("cannot reload the log level", "error", err)
			}
		}
		if current.metrics != nil {
			if err := current.metrics.Reload(); err != nil {
				log.Error("cannot reload the token or the certificate of metrics_listen", "error", err, "hint", fault.Hint(err))
			}
		}
		err := current.daemon.ReloadPolicy(fresh.Policy, unread)
		switch {
		case err != nil:
			log.Error("cannot reload the policy: the one before stays", "error", err, "hint", fault.Hint(err))
		case fresh.Policy == nil:
			log.Warn("policy reloaded", "warning", policy.Warning)
		default:
			log.Info("policy reloaded", "strict", fresh.Policy.Strict)
		}
	}
}

// readAgain reads the settings file, with what overrides it. No required setting may be missing: a
// file that is empty, because it is being written, does not lift the policy.
func readAgain(a *app) (settings.Settings, error) {
	fresh := settings.Default()
	name, _ := a.configName()
	data, err := os.ReadFile(name)
	if err != nil {
		return fresh, fault.WithHint(fmt.Errorf("read settings: %w", err), "restore the file, and run systemctl reload coin-agent")
	}
	if err := fresh.ReadYAML(name, data); err != nil {
		return fresh, err
	}
	given := a.settings.Fields()
	for i, field := range fresh.Fields() {
		if !a.overridden[field.Name] {
			continue
		}
		if err := field.Set(given[i].Default()); err != nil {
			return fresh, err
		}
	}
	return fresh, fresh.Validate()
}
