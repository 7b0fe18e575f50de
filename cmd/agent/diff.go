package main

import (
	"context"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

func (a *app) diffCommand() *cobra.Command {
	var flags checkoutFlags
	cmd := &cobra.Command{Use: "diff", Short: "Show the plan: what a sync would change, in order; exit code 3 if there are changes", Args: noArgs}
	flags.add(cmd)
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output, "text", "json"); err != nil {
			return err
		}
		return a.diff(cmd.Context(), flags, *output)
	}
	return cmd
}

// diff prints the plan of a sync. It does not change the stack.
func (a *app) diff(ctx context.Context, flags checkoutFlags, output string) error {
	stack, err := a.rendered(ctx, flags)
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
	stack, unresolved, err := engine.Resolve(ctx, live.LiveServices(), stack)
	if err != nil {
		return err
	}
	if stack, err = engine.Rerun(ctx, live.LiveServices(), stack); err != nil {
		return err
	}
	plan, err := deploy.Diff(live, stack)
	if err != nil {
		return err
	}
	plan.Warnings = append(plan.Warnings, unresolved...)
	if output == "json" {
		err = printJSON(a.stdout, report.NewPlanDocument(plan.Recorded()))
	} else {
		a.printPlan(plan.Recorded())
	}
	if err == nil && !plan.Empty() {
		err = errDifferent
	}
	return err
}

var toneColours = map[report.Tone]string{
	report.ToneAdd: green, report.ToneUpdate: yellow, report.ToneRemove: red, report.ToneQuiet: dim, report.ToneWarning: yellow,
}

func (a *app) printPlan(plan deploy.RecordedPlan) {
	p := newPrinter(a.stdout)
	for _, line := range report.PlanLines(plan) {
		text := line.Text
		if colour, ok := toneColours[line.Tone]; ok {
			text = p.paint(colour, text)
		}
		p.line("%s", text)
	}
}
