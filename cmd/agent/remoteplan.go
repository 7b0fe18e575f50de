package main

import (
	"context"
	"fmt"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/deploy"
)

// remotePlan prints the present plan of another node's agent, or what has drifted there. That
// agent has the files and the keys.
func remotePlan(ctx context.Context, a *app, flags diffFlags, output string) error {
	if flags.files.repo != "" || flags.files.revision != "" || flags.grants {
		return a.here("diff of other files, or with --grants,")
	}
	plan, err := a.client().Plan(ctx)
	if err != nil {
		return err
	}
	if output == "json" {
		return differentIf(plan.Of != control.PlanOfNone, printJSON(a.stdout, plan))
	}
	out := newPrinter(a.stdout)
	switch plan.Of {
	case control.PlanOfSync:
		out.line("%s", fmt.Sprintf("sync #%d of %s is %s", plan.Sync, short(plan.Commit), plan.State)+after(": ", plan.Waiting))
	case control.PlanOfDrift:
		out.line("the live services differ from what was applied")
	case control.PlanOfNone:
	}
	document := plan.Document
	err = printPage(out, planScreen, deploy.RecordedPlan{
		Stack: document.Stack, Steps: document.Steps, Adopted: document.Adopted, Warnings: document.Warnings, Ignored: document.Ignored,
		Grants: document.Grants, Sum: document.Digest,
	})
	if plan.Cut > 0 {
		out.line("the changes of the last %d steps are left out: run agent diff on the node", plan.Cut)
	}
	return differentIf(plan.Of != control.PlanOfNone, err)
}
