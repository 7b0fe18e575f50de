package main

import (
	"context"
	"fmt"
	"slices"

	"coin.internal/coin-agent/agent/control"
)

// remotePlan prints the present plan of another node's agent, or what has drifted there: of one
// stack, or of each in order. That agent has the files and the keys.
func remotePlan(ctx context.Context, a *app, flags diffFlags, output string) error {
	if flags.files.repo != "" || flags.files.revision != "" || flags.grants {
		return a.here("diff of other files, or with --grants,")
	}
	a.stack = flags.files.stack
	var plans []control.Plan
	err := eachStack(ctx, a, func(client *control.Client, _ string) error {
		plan, err := client.Plan(ctx)
		plans = append(plans, plan)
		return err
	})
	if err != nil {
		return err
	}
	changed := slices.ContainsFunc(plans, func(plan control.Plan) bool { return plan.Of != control.PlanOfNone })
	if output == "json" && len(plans) == 1 {
		return differentIf(changed, printJSON(a.stdout, plans[0]))
	}
	if output == "json" {
		return differentIf(changed, printJSON(a.stdout, plans))
	}
	out := newPrinter(a.stdout)
	for i, plan := range plans {
		if i > 0 {
			out.line("")
		}
		if len(plans) > 1 {
			out.line("stack %s", printable(plan.Stack))
		}
		if err := printRemotePlan(out, plan); err != nil {
			return err
		}
	}
	return differentIf(changed, nil)
}

func printRemotePlan(out printer, plan control.Plan) error {
	switch plan.Of {
	case control.PlanOfSync:
		out.line("%s", fmt.Sprintf("sync #%d of %s is %s", plan.Sync, short(plan.Commit), plan.State)+after(": ", plan.Waiting))
	case control.PlanOfDrift:
		out.line("the live services differ from what was applied")
	case control.PlanOfNone:
	}
	err := printPage(out, planScreen, plan.Document.Recorded())
	if plan.Cut > 0 {
		out.line("the changes of the last %d steps are left out: run agent diff on the node", plan.Cut)
	}
	return err
}
