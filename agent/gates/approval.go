package gates

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/manifests"
)

// approval waits for the approval of this very plan: that of the merge request in GitLab,
// for the first plan of its commit, or one that was given on the node.
func (p Parts) approval(ctx context.Context, plan *Plan) (Ruling, error) {
	switch {
	case !plan.Config.ApprovalRequired():
		return Ruling{}, nil
	case plan.PutsBack:
		return Ruling{Passed: "it returns to what was applied and verified last"}, nil
	}
	asked, err := p.asked(plan)
	if err != nil {
		return Ruling{}, err
	}
	if given := asked.Given; given != nil && given.PlanDigest == plan.Digest {
		return Ruling{Passed: ApprovalText(given), Approval: given}, nil
	}
	given, lacking := p.approved(ctx, plan, asked)
	if ctx.Err() != nil {
		return Ruling{}, ctx.Err() // the agent is stopping
	}
	if lacking != "" {
		return Ruling{Waiting: fmt.Sprintf("approval is required: %s; on the node: agent approve %s", lacking, record.Short(plan.Sync.Commit))}, nil
	}
	if before := plan.Sync.Approval; before != nil && before.Source == given.Source && before.PlanDigest == given.PlanDigest && slices.Equal(before.By, given.By) {
		given = before // with the time when it was seen first
	}
	return Ruling{Passed: ApprovalText(given), Approval: given}, nil
}

func nextApproval(sync *record.Sync, _ record.Gate) string {
	return fmt.Sprintf("approve its merge request, or `agent approve %s --reason …`", record.Short(sync.Commit))
}

// asked gives what is remembered of approvals of the commit.
func (p Parts) asked(plan *Plan) (record.Asked, error) {
	asked, err := p.Records.Asked(plan.Sync.Commit, plan.Digest, plan.Unresolved)
	if err != nil {
		return asked, fmt.Errorf("remember what is to be approved: %w", err)
	}
	return asked, nil
}

// ApprovalText says in a line who has approved, and where.
func ApprovalText(given *record.Approval) string {
	who := strings.Join(given.By, ", ")
	if given.Source == record.FromNode {
		return fmt.Sprintf("approved on the node by %s: %s", who, given.Reason)
	}
	return fmt.Sprintf("approved in !%d by %s", given.MergeRequest, who)
}

// approved asks GitLab for the approval of the merge request that brought the commit to
// the followed branch, the newest of several; without one it says what is lacking. For a
// tag, the target branch does not matter, but the merge request must end with the commit:
// it was approved for its end.
func (p Parts) approved(ctx context.Context, plan *Plan, asked record.Asked) (given *record.Approval, lacking string) {
	switch {
	case asked.Given != nil:
		return nil, fmt.Sprintf("the plan is no longer the one that %s approved", asked.Given.Actor)
	case asked.PlanDigest != plan.Digest:
		return nil, "the plan is no longer the one that was made of the merge request"
	case p.Approvals == nil:
		return nil, "no GitLab is configured that could be asked"
	}
	// One look waits for GitLab no longer than one request may take.
	ctx, cancel := context.WithTimeout(ctx, gitlab.DefaultHTTPTimeout)
	defer cancel()
	found, err := p.Approvals.MergeRequests(ctx, plan.Sync.Commit)
	if err != nil {
		return nil, "GitLab does not tell: " + err.Error()
	}
	i := slices.IndexFunc(found, func(request gitlab.Merged) bool {
		return plan.Tag && request.Brought || !plan.Tag && request.Target == plan.Sync.Ref
	})
	if i < 0 {
		return nil, "no merge request brought this commit"
	}
	request := found[i]
	users, err := p.Approvals.Approvals(ctx, request.Number)
	if err != nil {
		return nil, "GitLab does not tell: " + err.Error()
	}
	by, lacking := agreed(plan.Config, request, users)
	if lacking != "" {
		return nil, fmt.Sprintf("!%d %s", request.Number, lacking)
	}
	return &record.Approval{
		PlanDigest: plan.Digest, Source: record.FromGitLab, By: by, MergeRequest: request.Number, At: time.Now().UTC(),
	}, ""
}

// agreed judges the approvals of a merge request, users in small letters: it gives those
// that count, or what is lacking. The approval of its author does not count.
func agreed(config *manifests.Config, request gitlab.Merged, users []string) (by []string, lacking string) {
	author := strings.ToLower(request.Author)
	counting := func(wanted []string, all bool) (found []string) {
		for _, user := range users {
			if user != author && (all || slices.Contains(wanted, user)) {
				found = append(found, user)
			}
		}
		return found
	}
	approvers, unknown := config.Approvers()
	by = counting(approvers, len(config.Approval.Approvers) == 0)
	if len(by) < config.Approval.Minimum {
		return nil, fmt.Sprintf("has %d of %d approvals%s", len(by), config.Approval.Minimum, ofWhom(approvers, unknown))
	}
	if !config.Approval.ChangeAdvisoryBoard {
		return by, ""
	}
	label := config.BoardLabel()
	if label != "" && slices.Contains(request.Labels, label) {
		return append(by, fmt.Sprintf("the advisory board (label %q)", label)), ""
	}
	members, unknown := config.BoardMembers()
	board := counting(members, false)
	if len(board) == 0 {
		return nil, "is not agreed to by the change advisory board" + boardOptions(label, members, unknown)
	}
	by = append(by, board...)
	slices.Sort(by)
	return slices.Compact(by), ""
}

// ofWhom names the users whose approval counts, and the names without a user.
func ofWhom(users, unknown []string) string {
	text := ""
	if len(users) > 0 {
		text = " (of " + strings.Join(users, ", ") + ")"
	}
	for _, name := range unknown {
		text += fmt.Sprintf(", and %q is not a username: assign it in approval.roles", name)
	}
	return text
}

func boardOptions(label string, members, unknown []string) string {
	var options []string
	if label != "" {
		options = append(options, fmt.Sprintf("label %q", label))
	}
	if len(members)+len(unknown) > 0 {
		options = append(options, "an approval"+ofWhom(members, unknown))
	}
	return ": it takes " + strings.Join(options, " or ")
}
