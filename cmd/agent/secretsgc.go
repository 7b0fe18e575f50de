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

func (a *app) secretsGCCommand() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove old versions of secrets and configs that nothing needs any more",
		Long: `Remove old versions of secrets and configs that nothing needs any more.

The agent does so by itself, after each sync and once an hour; secrets.retention of
config.yml says how long versions stay. --dry-run shows what would go and why each
other version stays, also while the daemon is down. Nothing is removed while the
last sync has not succeeded or live services have drifted.`,
		Args: noArgs,
	}
	output := outputFlag(cmd, "text", "json")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would go, and change nothing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output, "text", "json"); err != nil {
			return err
		}
		survey, err := a.collect(cmd.Context(), dryRun)
		if survey == nil {
			return err
		}
		survey.Secrets = nil // for `list`
		if *output == "json" {
			return errors.Join(printJSON(a.stdout, survey), err)
		}
		a.printCollection(survey, dryRun)
		return err
	}
	return cmd
}

func (a *app) collect(ctx context.Context, dryRun bool) (*inventory.Survey, error) {
	if dryRun {
		return a.survey(ctx)
	}
	survey, err := control.NewClient(a.settings.Socket).Collect(ctx)
	if errors.Is(err, control.ErrNotRunning) {
		err = fault.WithHint(err, cmp.Or(fault.Hint(err), "start the agent")+"; with --dry-run this command shows what would go")
	}
	return survey, err
}

func (a *app) printCollection(survey *inventory.Survey, dryRun bool) {
	p := newPrinter(a.stdout)
	var rows [][]string
	row := func(version deploy.Version, fate string) {
		rows = append(rows, []string{string(version.Kind), version.Name, roughly(survey.At.Sub(version.Created)), fate})
	}
	for _, version := range survey.Removed {
		row(version, p.paint(yellow, "removed"))
	}
	due := len(deploy.Collectable(survey.Versions))
	for _, version := range survey.Versions {
		if version.Collectable() {
			row(version, p.paint(yellow, "may go"))
		}
	}
	for _, version := range survey.Versions {
		if !version.Collectable() {
			row(version, fateText(version))
		}
	}
	p.table([]string{"KIND", "NAME", "AGE", "WHAT"}, rows)
	stay := counted(len(survey.Versions)-due, "version stays", "versions stay")
	switch {
	case !dryRun:
		p.line("%s removed, %s", counted(len(survey.Removed), "version", "versions"), stay)
	case survey.Uncertain != "" && due > 0:
		p.line("%s may go, but not now: %s; %s", counted(due, "version", "versions"), survey.Uncertain, stay)
	default:
		p.line("%s may go, %s", counted(due, "version", "versions"), stay)
	}
}
