package gates

import (
	"context"
	"fmt"
	"strings"
)

// Foreseen lists what a rollout of a plan will wait for, as far as config.yml and the node
// show before its commit is on the followed branch. It asks no server and records
// nothing: the merge request's own page has its approvals.
func Foreseen(ctx context.Context, parts Parts, plan *Plan) (waits []string, err error) {
	for _, gate := range []Gate{pause{parts}, freeze{parts}, autoDeploy{}} {
		said, err := gate.Ask(ctx, plan)
		if err != nil {
			return nil, err
		}
		if said.Waiting != "" {
			waits = append(waits, said.Waiting)
		}
	}
	for _, asked := range plan.Config.Approvals() {
		users, unknown := asked.Users()
		text := fmt.Sprintf("approval by %d", asked.Minimum)
		if names := append(users, unknown...); len(names) > 0 {
			text += " of " + strings.Join(names, ", ")
		}
		if asked.ChangeAdvisoryBoard {
			text += " and the change advisory board"
		}
		waits = append(waits, text)
	}
	if plan.Sync.Takes != nil {
		waits = append(waits, "`agent adopt` on the node")
	}
	if parts.Earlier != nil {
		for _, one := range parts.Earlier() {
			waits = append(waits, "success of the stack "+one.Name)
		}
	}
	before := plan.Config.Before(parts.Node)
	if len(before) > 0 {
		waits = append(waits, "success of "+strings.Join(before, ", "))
	}
	return waits, nil
}
