package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

func diffCommand(a *app) *cobra.Command {
	var flags checkoutFlags
	cmd := &cobra.Command{Use: "diff", Short: "Show the plan: what a sync would change, in order; exit code 3 if there are changes", Args: noArgs}
	flags.add(cmd)
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return diff(cmd.Context(), a, flags, *output)
	}
	return cmd
}

// diff prints the plan of a sync. It does not change the stack.
func diff(ctx context.Context, a *app, flags checkoutFlags, output string) error {
	stack, err := rendered(ctx, a, flags)
	if err != nil {
		return err
	}
	engine, err := a.connect()
	if err != nil {
		return err
	}
	defer func() { _ = engine.Close() }()
	live, err := engine.Observe(ctx, stack)
	if err != nil {
		return err
	}
	resolved, err := engine.Resolve(ctx, live.Services, stack)
	if err != nil {
		return err
	}
	if stack, err = engine.Rerun(ctx, live.Services, resolved.Stack); err != nil {
		return err
	}
	plan, err := deploy.Diff(live, stack)
	if err != nil {
		return err
	}
	missing, refused := engine.RefuseMissing(ctx, plan, resolved, false)
	for _, one := range fault.All(refused) {
		missing = append(missing, "the sync will stop here: "+one.Error()+": "+fault.Hint(one))
	}
	plan.Warnings = slices.Concat(plan.Warnings, resolved.Warnings, missing)
	if output == "json" {
		err = printJSON(a.stdout, report.NewPlanDocument(plan.Recorded()))
	} else {
		err = newPrinter(a.stdout).screen("plan", plan.Recorded())
	}
	return differentIf(!plan.Empty(), err)
}

var toneColours = map[report.Tone]string{
	report.ToneAdd: green, report.ToneUpdate: yellow, report.ToneRemove: red, report.ToneQuiet: dim, report.ToneWarning: yellow,
}
