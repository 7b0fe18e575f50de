package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/store"
)

func (a *app) showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one sync of the history in detail: by its number, or latest",
		Example: "  agent show latest\n  agent show 12 -o report > rollback.md",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.ExactArgs(1)(cmd, args); err != nil {
				return usageError{fmt.Errorf("name one sync: its number, as `agent history` shows it, or %s", control.Latest)}
			}
			return nil
		},
	}
	output := cmd.Flags().StringP("output", "o", "text", "output: text, json (the whole record), manifest (JSON) or report (of its rollback, Markdown)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output, "text", "json", "manifest", "report"); err != nil {
			return err
		}
		sync, err := a.findSync(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return a.show(sync, *output)
	}
	return cmd
}

// findSync asks the daemon. Without a daemon it reads the state file.
func (a *app) findSync(ctx context.Context, which string) (*record.Sync, error) {
	sync, err := control.NewClient(a.settings.Socket).FindSync(ctx, which)
	if !errors.Is(err, control.ErrNotRunning) {
		return sync, err
	}
	store, err := store.OpenReadOnly(a.settings.StateDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }()
	return control.FindSync(store, which)
}

// node names the node whose syncs are shown.
func (a *app) node() report.Node {
	return report.Node{Environment: a.settings.Environment, Name: a.settings.Node}
}

func (a *app) show(sync *record.Sync, output string) error {
	switch output {
	case "json":
		return printJSON(a.stdout, sync)
	case "manifest":
		manifest, err := report.NewManifest(a.node(), sync)
		if err != nil {
			return err
		}
		return printJSON(a.stdout, manifest)
	case "report":
		text, err := report.Rollback(a.node(), sync)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(a.stdout, text); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		return nil
	}
	manifest, err := report.NewManifest(a.node(), sync)
	if err != nil {
		return err
	}
	printShown(newPrinter(a.stdout), sync, manifest)
	return nil
}
