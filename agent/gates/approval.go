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

// approval waits for the approval of this very plan: that of the merge requests in GitLab,
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
		return Ruling{Waiting: fmt.Sprintf("approval is required%s: %s; on the node: `agent approve %s`", granting(plan), lacking, record.Short(plan.Sync.Commit))}, nil
	}
	if before := plan.Sync.Approval; before != nil && before.Source == given.Source && before.PlanDigest == given.PlanDigest && slices.Equal(before.By, given.By) && slices.Equal(before.Earlier, given.Earlier) {
		given = before // with the time when it was seen first
	}
	return Ruling{Passed: ApprovalText(given), Approval: given}, nil
}

// mostGrants bounds the grants that the text names.
const mostGrants = 3

// granting names what the plan newly grants to its services over the node or others.
func granting(plan *Plan) string {
	count := len(plan.Grants)
	if count == 0 {
		return ""
	}
	names := strings.Join(plan.Grants[:min(count, mostGrants)], ", ")
	if count > mostGrants {
		names += fmt.Sprintf(" and %d more: agent show latest", count-mostGrants)
	}
	return fmt.Sprintf(" (the plan has %s: %s)", plural.Count(count, "new grant"), names)
}

func (approval) Next(sync *record.Sync, _ record.Gate) string {
	return fmt.Sprintf("approve its merge request, or `agent approve %s --reason …`", record.Short(sync.Commit))
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
	in := fmt.Sprintf("!%d", given.MergeRequest)
	for i, number := range given.Earlier {
		if i == few {
			in += fmt.Sprintf(" and %d more", len(given.Earlier)-few)
			break
		}
		in += fmt.Sprintf(", !%d", number)
	}
	return fmt.Sprintf("approved in %s by %s", in, who)
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
	by, numbers, lacking := g.landed(ctx, plan)
	if lacking != "" {
		return nil, lacking
	}
	return &record.Approval{
		PlanDigest: plan.Digest, Source: record.FromGitLab, By: by, MergeRequest: numbers[0], Earlier: numbers[1:], At: time.Now().UTC(),
	}, ""
}

// agreed judges the approvals of a merge request by one of the approvals that are asked for:
// it gives the users whose approvals count, or what is lacking.
func agreed(asked manifests.Approval, request gitlab.Request, approvals []gitlab.Approval) (by []string, lacking string) {
	by, why := approvedBy(asked, request, approvals)
	if len(by) < asked.Minimum {
		return nil, fmt.Sprintf("has %d of %d approvals%s", len(by), asked.Minimum, why)
	}
	if !asked.ChangeAdvisoryBoard {
		return by, ""
	}
	board, why := agreedByBoard(asked, request, approvals)
	if len(board) == 0 {
		return nil, "is not agreed to by the change advisory board" + why
	}
	return append(by, board...), ""
}

// approvedBy gives the users whose approvals of a merge request count. why names those that
// can, and says why others do not.
func approvedBy(asked manifests.Approval, request gitlab.Request, approvals []gitlab.Approval) (by []string, why string) {
	approvers, unknown := asked.Users()
	by, not := counting(request, approvals, approvers, len(asked.Approvers) == 0)
	return by, ofWhom(approvers, unknown) + notCounted(not)
}

// agreedByBoard gives what counts as the consent of the change advisory board. Without any, why
// says what would.
func agreedByBoard(asked manifests.Approval, request gitlab.Request, approvals []gitlab.Approval) (by []string, why string) {
	label := asked.BoardLabel()
	if label != "" && slices.Contains(request.Labels, label) {
		return []string{fmt.Sprintf("the advisory board (label %q)", label)}, ""
	}
	members, unknown := asked.BoardUsers()
	by, not := counting(request, approvals, members, false)
	if len(by) > 0 {
		return by, ""
	}
	return nil, boardOptions(label, members, unknown) + notCounted(not)
}

// counting gives the users whose approvals count, and says why others of them do not. The
// approval of the author of the merge request never counts, that of a user who wrote or
// pushed commits of it does not, also if config.yml names the user, and none that was given
// before the last push, or for another target branch: a second person has to agree.
func counting(request gitlab.Request, approvals []gitlab.Approval, wanted []string, anyone bool) (by, not []string) {
	for _, one := range approvals {
		switch {
		case !anyone && !slices.Contains(wanted, one.User):
		case one.User == request.Author:
			not = append(not, one.User+" opened it")
		case one.Retargeted:
			not = append(not, one.User+" approved it before its target branch was changed to "+request.Target)
		case one.Outdated:
			not = append(not, one.User+" did not approve its last commit "+record.Short(request.Head))
		case one.Wrote:
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
