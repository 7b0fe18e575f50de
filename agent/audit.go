package agent

import (
	"fmt"
	"log/slog"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/store"
)

// OpenAudit opens the audit log beside the state file, which remembers its head
// from then on.
func OpenAudit(settings *settings.Settings, version string, store *store.Store, log *slog.Logger) (*audit.Log, error) {
	known, err := store.AuditHead()
	if err != nil {
		return nil, fmt.Errorf("read head of the audit log: %w", err)
	}
	opened, err := audit.Open(settings.StateDir, audit.Options{
		Environment: settings.Environment, Node: settings.Node, Version: version, Known: known, Log: log,
	})
	if err != nil {
		return nil, err
	}
	return opened, store.FollowAudit(opened.Head)
}

// note appends entries that belong to no sync, and has the state file remember
// them. Without an error they are on disk.
func (a *Agent) note(entries ...audit.Entry) error {
	if err := a.Audit.Append(entries...); err != nil {
		return err
	}
	if err := a.Store.SaveAuditHead(); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}
