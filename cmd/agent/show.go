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
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/store"
)

func showCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one sync of the history in detail: by its number, or latest",
		Example: "  agent show latest\n  agent show 12 -o report > rollback.md",
		Args:    takes(cobra.ExactArgs(1), errors.New("name one sync: its number, as `agent history` shows it, or "+control.Latest)),
	}
	output := outputFlag(cmd, "text", "json", "manifest", "report")
	cmd.Flags().Lookup("output").Usage = "output: text, json (the whole record), manifest (JSON) or report (of its rollback, Markdown)"
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		node, sync, err := findSync(cmd.Context(), a, args[0])
		if err != nil {
			return err
		}
		return show(a.stdout, node, sync, *output)
	}
	return cmd
}

// nodeOf names the node of the settings.
func nodeOf(settings *settings.Settings) report.Node {
	return report.Node{Environment: settings.Environment, Name: settings.Node}
}

// findSync gives a sync, and the node that made it.
func findSync(ctx context.Context, a *app, which string) (report.Node, *record.Sync, error) {
	node := nodeOf(&a.settings)
	detail, err := a.client().Detail(ctx, which)
	if err == nil && detail.Manifest != nil {
		node = report.Node{Environment: detail.Manifest.Environment, Name: detail.Manifest.Node}
	}
	sync, err := orStateFile(&a.settings, detail.Sync, err, func(s *store.Store) (*record.Sync, error) { return control.FindSync(s, which) })
	return node, sync, err
}

func show(stdout io.Writer, node report.Node, sync *record.Sync, output string) error {
	if output == "json" {
		return printJSON(stdout, sync)
	}
	if output == "report" {
		text, err := report.Rollback(node, sync)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(stdout, text); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		return nil
	}
	manifest, err := report.NewManifest(node, sync)
	if err != nil {
		return err
	}
	if output == "manifest" {
		return printJSON(stdout, manifest)
	}
	return printPage(newPrinter(stdout), showScreen, shownSync{sync, manifest})
}
