package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

func secretsGCCommand(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove old versions of secrets and configs that are no longer needed",
		Long: `Remove old versions of secrets and configs that are no longer needed.

The agent does this automatically after each sync and once an hour. secrets.retention
in config.yml sets how long versions stay. --dry-run shows the versions to remove, and
why each other version stays, also while the daemon is down. Nothing is removed if the
last sync did not succeed or live services have drifted.`,
		Args: noArgs,
	}
	output := outputFlag(cmd, "text", "json")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the versions to remove, and change nothing; exit code 3 if there are some")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		survey, err := collect(cmd.Context(), a, dryRun)
		if survey == nil {
			return err
		}
		survey.Secrets = nil // for `list`
		removable := dryRun && len(deploy.Collectable(survey.Versions)) > 0
		if *output == "json" {
			return differentIf(removable, errors.Join(printJSON(a.stdout, survey), err))
		}
		return differentIf(removable, errors.Join(printPage(newPrinter(a.stdout), secretsGCScreen, collection{survey, dryRun}), err))
	}
	return cmd
}

func collect(ctx context.Context, a *app, dryRun bool) (*inventory.Survey, error) {
	if dryRun {
		return survey(ctx, a)
	}
	removed, err := a.client().Collect(ctx)
	if errors.Is(err, control.ErrNotRunning) {
		err = fault.WithHint(err, cmp.Or(fault.Hint(err), "start the agent")+"; with --dry-run this command shows the versions to remove")
	}
	return removed, err
}
