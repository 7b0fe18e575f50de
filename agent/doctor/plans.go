package doctor

import (
	"context"
	"fmt"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

// checkPlans reads the merge requests on which the agent shows plans. Whether it may write on
// them shows only when it does: a role of Reporter is enough for a note.
func (d *doctor) checkPlans(ctx context.Context) (string, error) {
	branch := d.on.Settings.PlansBranch()
	if branch == "" {
		return "none are shown on merge requests: no gitlab_url, merge_request_plans is false, or the node follows tags", nil
	}
	client, err := d.on.GitLab()
	if err != nil || client == nil {
		return "", doubt{fault.New(fault.Place{}, "see the line gitlab", "the merge requests cannot be read")}
	}
	open, err := gitlab.NewRequests(client).Open(ctx, branch)
	if err != nil {
		return "", doubt{fault.WithHint(err, fault.Hint(err))}
	}
	return fmt.Sprintf("shown on merge requests into %s; %s", branch, plural.Count(len(open), "open one")), nil
}
