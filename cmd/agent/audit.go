package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/fault"
)

func auditCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Show or verify the log of what the agent did with stacks and secrets", Args: noArgs}
	cmd.AddCommand(auditLogCommand(a), auditVerifyCommand(a))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

func auditVerifyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "verify", Short: "Check that the audit log is complete and unchanged", Args: noArgs}
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		known, err := auditHead(cmd.Context(), &a.settings, a.stderr)
		if err != nil {
			return err
		}
		report, err := audit.Verify(a.settings.StateDir, known)
		if err != nil {
			return err
		}
		err = printScreen(a.stdout, *output, "audit", report)
		return differentIf(len(report.Problems) > 0, err)
	}
	return cmd
}

// auditHead asks the daemon for the last entry of the log. Without a daemon it reads the
// state file. Without a state file it gives the zero head.
func auditHead(ctx context.Context, settings *settings.Settings, stderr io.Writer) (audit.Head, error) {
	head, err := control.NewClient(settings.Socket).AuditHead(ctx)
	if !errors.Is(err, control.ErrNotRunning) {
		return head, err
	}
	if !store.Exists(settings.StateDir) {
		return audit.Head{}, nil
	}
	opened, err := store.OpenReadOnly(settings.StateDir)
	switch {
	case errors.Is(err, store.ErrDamaged):
		printFault(stderr, "warning", fmt.Errorf("the audit log is checked without the state file: %w", err))
		return audit.Head{}, nil
	case err != nil:
		return audit.Head{}, err
	}
	defer func() { _ = opened.Close() }()
	return opened.AuditHead()
}

func auditLogCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "log", Short: "Show the entries of the audit log, the oldest first", Args: noArgs}
	output := outputFlag(cmd, "text", "json")
	since := cmd.Flags().Duration("since", 0, "show only entries of this last period, such as 24h")
	object := cmd.Flags().String("object", "", "show only entries about this service, secret, config or network: its full name, or its name without the version")
	cmd.RunE = func(_ *cobra.Command, _ []string) error {
		if *since < 0 {
			return usageError{fault.New(fault.Place{}, "write a duration such as 24h", "--since %s is negative", *since)}
		}
		entries := []audit.Entry{}
		foreign, err := audit.Read(a.settings.StateDir, func(entry audit.Entry) {
			if (*since == 0 || time.Since(entry.Time) <= *since) && about(&entry, *object) {
				entries = append(entries, entry)
			}
		})
		if err != nil {
			return err
		}
		if foreign > 0 {
			newPrinter(a.stderr).line("agent: skipped %s of the audit log without a valid entry; see `agent audit verify`", counted(foreign, "line", "lines"))
		}
		return printScreen(a.stdout, *output, "log", entries)
	}
	return cmd
}

// about reports whether an entry concerns an object.
func about(entry *audit.Entry, object string) bool {
	if object == "" || entry.Name == object || entry.Service == object {
		return true
	}
	dot := strings.LastIndexByte(entry.Name, '.')
	return dot > 0 && entry.Name[:dot] == object
}
