package gates

import (
	"context"
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/manifests"
)

// Foreseen lists what a rollout of a plan will wait for besides approvals, as far as
// config.yml and the node show before its commit is on the followed branch. It asks no server
// and records nothing.
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

// Demanded says which approvals a rollout will wait for, without a count.
func Demanded(demands []manifests.Approval) (texts []string) {
	for _, asked := range demands {
		users, unknown := asked.Users()
		text := fmt.Sprintf("approval by %d", asked.Minimum)
		if names := append(users, unknown...); len(names) > 0 {
			text += " of " + strings.Join(names, ", ")
		}
		if asked.ChangeAdvisoryBoard {
			text += " and the change advisory board"
		}
		texts = append(texts, text)
	}
	return texts
}

// Counted says how many of these approvals a merge request has, by the rules by which the gate
// judges it after the merge: "approval 1/2 (of ada, bob)".
func Counted(demands []manifests.Approval, request gitlab.Request, approvals []gitlab.Approval) string {
	return counts(demands, func(asked manifests.Approval) (given, board string, why, boardWhy string) {
		by, why := approvedBy(asked, request, approvals)
		members, boardWhy := agreedByBoard(asked, request, approvals)
		return fmt.Sprint(len(by)), fmt.Sprint(min(len(members), 1)), why, boardWhy
	})
}

// Uncounted says that it is not known how many of these approvals a merge request has:
// "approval ?/2: GitLab does not tell: …".
func Uncounted(demands []manifests.Approval, cause string) string {
	return counts(demands, func(manifests.Approval) (given, board string, why, boardWhy string) {
		return "?", "?", "", ""
	}) + ": GitLab does not tell: " + cause
}

func counts(demands []manifests.Approval, count func(manifests.Approval) (given, board string, why, boardWhy string)) string {
	var texts []string
	for _, asked := range demands {
		given, board, why, boardWhy := count(asked)
		texts = append(texts, fmt.Sprintf("approval %s/%d%s", given, asked.Minimum, why))
		if asked.ChangeAdvisoryBoard {
			texts = append(texts, fmt.Sprintf("change advisory board %s/1%s", board, boardWhy))
		}
	}
	return strings.Join(texts, "; ")
}
