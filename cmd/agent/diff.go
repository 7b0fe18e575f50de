package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/deploy"
)

func (a *app) diffCommand() *cobra.Command {
	var flags checkoutFlags
	cmd := &cobra.Command{Use: "diff", Short: "Show the plan: what a sync would change, in order; exit code 3 when there is something", Args: noArgs}
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

// diff plans and shows; it writes nothing.
func (a *app) diff(ctx context.Context, flags checkoutFlags, output string) error {
	stack, err := a.rendered(ctx, flags)
	if err != nil {
		return err
	}
	engine, err := deploy.Connect(a.settings.Engine)
	if err != nil {
		return err
	}
	defer func() { _ = engine.Close() }()
	live, err := engine.Observe(ctx, stack)
	if err != nil {
		return err
	}
	plan, err := deploy.Diff(live, stack)
	if err != nil {
		return err
	}
	if output == "json" {
		err = printJSON(a.stdout, struct {
			deploy.Plan
			Digest string `json:"digest"`
		}{plan, plan.Digest()})
	} else {
		a.printPlan(plan)
	}
	if err == nil && !plan.Empty() {
		err = errDifferent
	}
	return err
}

var actionColours = map[deploy.Action]string{
	deploy.Create: green, deploy.Update: yellow, deploy.Replace: yellow, deploy.Remove: red, deploy.ScaleDown: dim,
}

func (a *app) printPlan(plan deploy.Plan) {
	p := newPrinter(a.stdout)
	for _, warning := range plan.Warnings {
		p.line("%s", p.paint(yellow, "warning: "+warning))
	}
	if len(plan.Adopted) > 0 {
		p.line("taken over without a restart: %v", plan.Adopted)
	}
	if plan.Empty() {
		p.line("no difference: the stack %s is what the repository says", plan.Stack)
		return
	}
	restarts := 0
	for _, step := range plan.Steps {
		effect := ""
		switch {
		case step.Restarts && step.Action == deploy.Update:
			effect = "  (restarts its tasks)"
			restarts++
		case step.LabelsOnly():
			effect = "  (labels only, no restart)"
		}
		p.line("%s%s", p.paint(actionColours[step.Action], fmt.Sprintf("%-10s %-7s %s", step.Action, step.Kind, step.Name)), effect)
		if step.Action != deploy.Update && step.Action != deploy.Replace {
			continue
		}
		for _, change := range step.Changes {
			p.line("             %s: %s -> %s", change.Path, orDash(change.Old), orDash(change.New))
		}
	}
	p.line("%s, %s; plan %s", counted(len(plan.Steps), "step", "steps"), counted(restarts, "restart", "restarts"), short(plan.Digest()))
}
