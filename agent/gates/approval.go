package gates

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/plural"
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
		return Ruling{Waiting: fmt.Sprintf("approval is required%s: %s; on the node: agent approve %s", granting(plan), lacking, short(plan.Sync.Commit))}, nil
	}
	if before := plan.Sync.Approval; before != nil && before.Source == given.Source && before.PlanDigest == given.PlanDigest && slices.Equal(before.By, given.By) {
		given = before // with the time when it was seen first
	}
	return Ruling{Passed: ApprovalText(given), Approval: given}, nil
}

// granting says whether the plan gives its services rights over the node or others.
func granting(plan *Plan) string {
	if plan.Grants == 0 {
		return ""
	}
	return fmt.Sprintf(" (the plan has %s: agent show latest)", plural.Count(uint64(plan.Grants), "grant")) //nolint:gosec // not negative
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
	who := strings.Join(given.People(), ", ")
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
	request, lacking, err := g.mergeRequest(ctx, plan)
	if err != nil {
		return nil, "GitLab does not tell: " + err.Error()
	}
	if lacking != "" {
		return nil, lacking
	}
	approvals, err := g.parts.Approvals.Approvals(ctx, request)
	if err != nil {
		return nil, "GitLab does not tell: " + err.Error()
	}
	var by []string
	for _, asked := range plan.Config.Approvals() {
		counted, lacking := agreed(asked, request, approvals)
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

// mergeRequest finds the merge request that brought the commit to the followed branch, or
// says why there is none.
func (g approval) mergeRequest(ctx context.Context, plan *Plan) (request gitlab.MergeRequestOf, lacking string, err error) {
	found, err := g.parts.Approvals.MergeRequests(ctx, plan.Sync.Commit)
	if err != nil {
		return request, "", err
	}
	const few = 3
	lacking = "no merge request brought this commit"
	for i, request := range found {
		reason, err := g.unfit(ctx, plan, request)
		if err != nil || reason == "" {
			return request, "", err
		}
		if i < few {
			lacking += fmt.Sprintf(", !%d %s", request.Number, reason)
		}
	}
	return request, lacking, nil
}

// unfit says why the approvals of a merge request are not about the commit; "" if they are.
// They are about the head of a merge request, so it must be merged, and end with the
// commit. Its target is the followed branch. A user can put a tag on any commit: for a
// tag, the target is a branch into which not every user can merge.
func (g approval) unfit(ctx context.Context, plan *Plan, request gitlab.MergeRequestOf) (string, error) {
	switch {
	case request.State != gitlab.Merged:
		return "is " + request.State + ", not merged", nil
	case !request.Brought:
		return "does not end with it", nil
	case !plan.Tag && request.Target != plan.Sync.Ref:
		return "goes into " + request.Target + ", not " + plan.Sync.Ref, nil
	case !plan.Tag:
		return "", nil
	}
	protected, err := g.parts.Approvals.Protected(ctx, request.Target)
	if err != nil || protected {
		return "", err
	}
	return "goes into " + request.Target + ", which is not a protected branch", nil
}

// agreed judges the approvals of a merge request by one of the approvals that are asked for:
// it gives the users whose approvals count, or what is lacking.
func agreed(asked manifests.Approval, request gitlab.MergeRequestOf, approvals []gitlab.Approval) (by []string, lacking string) {
	approvers, unknown := asked.Users()
	by, not := counting(request, approvals, approvers, len(asked.Approvers) == 0)
	if len(by) < asked.Minimum {
		return nil, fmt.Sprintf("has %d of %d approvals%s", len(by), asked.Minimum, ofWhom(approvers, unknown)) + notCounted(not)
	}
	if !asked.ChangeAdvisoryBoard {
		return by, ""
	}
	label := asked.BoardLabel()
	if label != "" && slices.Contains(request.Labels, label) {
		return append(by, fmt.Sprintf("the advisory board (label %q)", label)), ""
	}
	members, unknown := asked.BoardUsers()
	board, not := counting(request, approvals, members, false)
	if len(board) == 0 {
		return nil, "is not agreed to by the change advisory board" + boardOptions(label, members, unknown) + notCounted(not)
	}
	return append(by, board...), ""
}

// counting gives the users whose approvals count, and says why others of them do not. The
// approval of the author of the merge request never counts, and none that was given before
// the last push. If config.yml does not name approvers, those who wrote the commits do not
// count either: a second person has to agree.
func counting(request gitlab.MergeRequestOf, approvals []gitlab.Approval, wanted []string, anyone bool) (by, not []string) {
	for _, one := range approvals {
		switch {
		case !anyone && !slices.Contains(wanted, one.User):
		case one.User == request.Author:
			not = append(not, one.User+" opened it")
		case one.Outdated:
			not = append(not, one.User+" did not approve its last commit "+short(request.Head))
		case anyone && one.Wrote:
			not = append(not, one.User+" wrote or pushed commits of it")
		default:
			by = append(by, one.User)
		}
	}
	return by, not
}

func notCounted(reasons []string) string {
	if len(reasons) == 0 {
		return ""
	}
	return "; not counted: " + strings.Join(reasons, ", ")
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
