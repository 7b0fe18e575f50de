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
type approval struct{ parts Parts }

func (approval) Name() record.GateName { return record.GateApproval }

func (g approval) Ask(ctx context.Context, plan *Plan) (Ruling, error) {
	switch {
	case len(plan.Config.Approvals()) == 0:
		return Ruling{}, nil
	case plan.PutsBack && len(plan.Config.Loosens) == 0:
		return Ruling{Passed: "it returns to what was applied and verified last"}, nil
	}
	asked, err := g.parts.asked(plan)
	if err != nil {
		return Ruling{}, err
	}
	if given := asked.Given; given != nil && given.PlanDigest == plan.Digest {
		return Ruling{Passed: ApprovalText(given), Approval: given}, nil
	}
	given, lacking := g.approved(ctx, plan, asked)
	if ctx.Err() != nil {
		return Ruling{}, ctx.Err() // the agent is stopping
	}
	if lacking != "" {
		return Ruling{Waiting: fmt.Sprintf("approval is required: %s; on the node: agent approve %s", lacking, short(plan.Sync.Commit))}, nil
	}
	if before := plan.Sync.Approval; before != nil && before.Source == given.Source && before.PlanDigest == given.PlanDigest && slices.Equal(before.By, given.By) {
		given = before // with the time when it was seen first
	}
	return Ruling{Passed: ApprovalText(given), Approval: given}, nil
}

func (approval) Next(sync *record.Sync, _ record.Gate) string {
	return fmt.Sprintf("approve its merge request, or `agent approve %s --reason …`", short(sync.Commit))
}

func (approval) HoldsNewer(config *manifests.Config) bool { return len(config.Approvals()) > 0 }

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

// approved asks GitLab for the approval of the commit's merge request; without one it says
// what is lacking.
func (g approval) approved(ctx context.Context, plan *Plan, asked record.Asked) (given *record.Approval, lacking string) {
	switch {
	case asked.Given != nil:
		return nil, fmt.Sprintf("the plan is no longer the one that %s approved", asked.Given.Actor)
	case asked.PlanDigest != plan.Digest:
		return nil, "the plan is no longer the one that was made of the merge request"
	case g.parts.Approvals == nil:
		return nil, "no GitLab is configured that could be asked"
	}
	// One look waits for GitLab no longer than one request may take.
	ctx, cancel := context.WithTimeout(ctx, gitlab.DefaultHTTPTimeout)
	defer cancel()
	request, found, err := g.mergeRequest(ctx, plan)
	if err != nil {
		return nil, "GitLab does not tell: " + err.Error()
	}
	if !found {
		return nil, "no merge request brought this commit"
	}
	users, err := g.parts.Approvals.Approvals(ctx, request.Number)
	if err != nil {
		return nil, "GitLab does not tell: " + err.Error()
	}
	var by []string
	for _, asked := range plan.Config.Approvals() {
		counted, lacking := agreed(asked, request, users)
		if lacking != "" {
			return nil, fmt.Sprintf("!%d %s", request.Number, lacking)
		}
		by = append(by, counted...)
	}
	slices.Sort(by)
	by = slices.Compact(by)
	return &record.Approval{
		PlanDigest: plan.Digest, Source: record.FromGitLab, By: by, MergeRequest: request.Number, At: time.Now().UTC(),
	}, ""
}

// mergeRequest finds the merge request that brought the commit to the followed branch; the
// newest of several. For a tag, the target branch does not matter, but the merge request
// must end with the commit: it was approved for its end.
func (g approval) mergeRequest(ctx context.Context, plan *Plan) (gitlab.Merged, bool, error) {
	found, err := g.parts.Approvals.MergeRequests(ctx, plan.Sync.Commit)
	if err != nil {
		return gitlab.Merged{}, false, err
	}
	for _, request := range found {
		if plan.Tag && request.Brought || !plan.Tag && request.Target == plan.Sync.Ref {
			return request, true, nil
		}
	}
	return gitlab.Merged{}, false, nil
}

// agreed judges the approvals of a merge request, users in small letters, by one of the
// approvals that are asked for: it gives those that count, or what is lacking. The approval
// of its author does not count.
func agreed(asked manifests.Approval, request gitlab.Merged, users []string) (by []string, lacking string) {
	author := strings.ToLower(request.Author)
	counting := func(wanted []string, all bool) (found []string) {
		for _, user := range users {
			if user != author && (all || slices.Contains(wanted, user)) {
				found = append(found, user)
			}
		}
		return found
	}
	approvers, unknown := asked.Users()
	by = counting(approvers, len(asked.Approvers) == 0)
	if len(by) < asked.Minimum {
		return nil, fmt.Sprintf("has %d of %d approvals%s", len(by), asked.Minimum, ofWhom(approvers, unknown))
	}
	if !asked.ChangeAdvisoryBoard {
		return by, ""
	}
	label := asked.BoardLabel()
	if label != "" && slices.Contains(request.Labels, label) {
		return append(by, fmt.Sprintf("the advisory board (label %q)", label)), ""
	}
	members, unknown := asked.BoardUsers()
	board := counting(members, false)
	if len(board) == 0 {
		return nil, "is not agreed to by the change advisory board" + boardOptions(label, members, unknown)
	}
	return append(by, board...), ""
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
