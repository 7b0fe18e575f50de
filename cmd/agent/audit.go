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
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

func auditCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Show or verify the log of what the agent did with stacks and secrets"}
	cmd.AddCommand(auditLogCommand(a), auditVerifyCommand(a))
	return cmd
}

func auditVerifyCommand(a *app) *cobra.Command {
	var anchored bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that the audit log is complete and unchanged",
		Long: `Check that the audit log is complete and unchanged.

With --anchor the log is also compared with the notes on the issue audit_issue. The check
then finds a log that was cut, replaced or rewritten together with the state file. Only
notes by the user of the agent's own token count. The exit code is 3 if the log differs,
or if GitLab has no anchor of this node.`,
		Example: "  agent audit verify --anchor",
		Args:    noArgs,
	}
	cmd.Flags().BoolVar(&anchored, "anchor", false, "compare the log with its anchors in GitLab")
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var found *audit.Evidence
		var err error
		if anchored { // first, so that the log has what they are of
			if err := a.here("audit verify --anchor"); err != nil {
				return err
			}
			if found, err = evidenceOf(cmd.Context(), a); err != nil {
				return err
			}
		}
		report, err := verifyAudit(cmd.Context(), a, a.stderr)
		if err != nil {
			return err
		}
		if anchored {
			if report.Anchors, err = audit.Compare(a.settings.StateDir, *found); err != nil {
				return err
			}
		}
		err = printScreen(a.stdout, *output, auditScreen, report)
		return differentIf(len(report.Problems) > 0 || anchored && !report.Anchors.Proves(), err)
	}
	return cmd
}

// evidenceOf reads the anchors in GitLab, and what the agent remembers of them.
func evidenceOf(ctx context.Context, a *app) (*audit.Evidence, error) {
	if a.settings.Environment == "" || a.settings.Node == "" {
		return nil, usageError{fault.New(fault.Place{}, "set environment and node in agent.yml, or --environment and --node", "--anchor needs the name of the node")}
	}
	issue, err := a.issue()
	if err != nil {
		return nil, err
	}
	if issue == nil {
		return nil, usageError{fault.New(fault.Place{}, "set audit_issue in agent.yml to the number of an issue", "--anchor needs the issue with the anchors")}
	}
	e := &audit.Evidence{Place: issue.String()}
	if e.Found, e.Others, err = issue.Anchors(ctx, a.settings.Owner()); err != nil {
		return nil, err
	}
	status, err := a.client().Status(ctx)
	if err == nil {
		for _, one := range status.Anchors {
			if one.Place == e.Place {
				e.Delivered = one.Entry
			}
		}
		return e, nil
	}
	if book, err := fromStateFile(&a.settings, (*store.Store).Anchors); err == nil {
		e.Delivered = book.Kept[e.Place].Seq
	}
	return e, nil
}

// verifyAudit has the daemon check the log, which has the key open. Without a daemon it
// takes head and key from the state file. Without a state file it checks neither the end of
// the log nor the seals.
func verifyAudit(ctx context.Context, a *app, stderr io.Writer) (audit.Report, error) {
	settings := &a.settings
	report, err := a.client().VerifyAudit(ctx)
	if !errors.Is(err, control.ErrNotRunning) {
		return report, err
	}
	if !store.Exists(settings.StateDir) {
		return audit.Verify(settings.StateDir, audit.Head{}, nil)
	}
	opened, err := store.OpenReadOnly(settings.StateDir)
	switch {
	case errors.Is(err, store.ErrDamaged):
		printFault(stderr, "warning", fmt.Errorf("the audit log is checked without the state file: %w", err))
		return audit.Verify(settings.StateDir, audit.Head{}, nil)
	case err != nil:
		return audit.Report{}, err
	}
	defer func() { _ = opened.Close() }()
	head, err := opened.AuditHead()
	if err != nil {
		return audit.Report{}, err
	}
	key, err := opened.AuditKey()
	if err != nil {
		return audit.Report{}, err
	}
	return audit.Verify(settings.StateDir, head, key)
}

func auditLogCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "log", Short: "Show the entries of the audit log, the oldest first", Args: noArgs}
	output := outputFlag(cmd, "text", "json")
	since := cmd.Flags().String("since", "", "show only entries since then: 24h, 7d, 2026-01-31 or a time such as 2026-01-31T08:00:00Z")
	object := cmd.Flags().String("object", "", "show only entries about this service, secret, config or network: its full name, or its name without the version")
	cmd.RunE = func(_ *cobra.Command, _ []string) error {
		from, err := sinceWhen(*since, time.Now())
		if err != nil {
			return usageError{err}
		}
		entries := []audit.Entry{}
		foreign, err := audit.Read(a.settings.StateDir, func(entry audit.Entry) {
			if !entry.Time.Before(from) && about(&entry, *object) {
				entries = append(entries, entry)
			}
		})
		if err != nil {
			return err
		}
		if foreign > 0 {
			newPrinter(a.stderr).line("agent: skipped %s of the audit log without a valid entry; see `agent audit verify`", plural.Count(foreign, "line"))
		}
		return printScreen(a.stdout, *output, logScreen, entries)
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
