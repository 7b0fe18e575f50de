package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/manifests"
)

// approvals is where merge requests were approved.
type approvals interface {
	MergeRequests(ctx context.Context, commit string) ([]gitlab.Merged, error)
	Approvals(ctx context.Context, number int64) ([]string, error)
}

// gateApproval waits for people's word for this very plan: that of the merge request
// in GitLab, for the first plan of its commit, or one that was given on the node.
func (r *reconcile) gateApproval(ctx context.Context) (ruling, error) {
	before := r.sync.Approval
	r.sync.Approval = nil
	if !r.node.Config.ApprovalRequired() {
		return ruling{}, nil
	}
	if back, err := r.putsBack(); back || err != nil {
		return ruling{passed: "it puts back what was applied and proven last"}, err
	}
	asked, err := r.asked()
	if err != nil {
		return ruling{}, err
	}
	if given := asked.Given; given != nil && given.PlanDigest == r.attempt.PlanDigest {
		r.sync.Approval = given
		return ruling{passed: report.ApprovalText(given)}, nil
	}
	said, lacking := r.approved(ctx, asked)
	if ctx.Err() != nil {
		return ruling{}, ctx.Err() // the agent is stopping
	}
	if lacking != "" {
		return ruling{waiting: fmt.Sprintf("approval is required: %s; on the node: agent approve %s", lacking, short(r.sync.Commit))}, nil
	}
	if before != nil && before.Source == said.Source && before.PlanDigest == said.PlanDigest && slices.Equal(before.By, said.By) {
		said = before // seen before: since then
	}
	r.sync.Approval = said
	return ruling{passed: report.ApprovalText(said)}, nil
}

// asked is what is remembered of approvals of this commit.
func (r *reconcile) asked() (record.Asked, error) {
	asked, err := r.records.Asked(r.sync.Commit, r.attempt.PlanDigest, r.unresolved)
	if err != nil {
		return asked, fmt.Errorf("remember what is to be approved: %w", err)
	}
	return asked, nil
}

// putsBack says that the services are to be what was applied and proven last: what
// drifted is put back, and nothing comes that nobody has agreed to.
func (r *reconcile) putsBack() (bool, error) {
	applied := r.snapshot().applied
	if applied == nil {
		return false, nil
	}
	services, err := json.Marshal(r.stack.Services)
	if err != nil {
		return false, fmt.Errorf("compare with what was applied: %w", err)
	}
	return bytes.Equal(services, applied.Services), nil
}

// approved asks GitLab for the approval of the commit's merge request; without one it
// says what is lacking.
func (r *reconcile) approved(ctx context.Context, asked record.Asked) (said *record.Approval, lacking string) {
	switch {
	case asked.Given != nil:
		return nil, fmt.Sprintf("the plan is no longer the one that %s approved", asked.Given.Actor)
	case asked.PlanDigest != r.attempt.PlanDigest:
		return nil, "the plan is no longer the one that was made of the merge request"
	case r.Approvals == nil:
		return nil, "no GitLab is configured that could be asked"
	}
	// One look is held up by GitLab no longer than one request may take.
	ctx, cancel := context.WithTimeout(ctx, gitlab.DefaultHTTPTimeout)
	defer cancel()
	request, found, err := r.mergeRequest(ctx)
	if err != nil {
		return nil, "GitLab does not tell: " + err.Error()
	}
	if !found {
		return nil, "no merge request brought this commit"
	}
	users, err := r.Approvals.Approvals(ctx, request.Number)
	if err != nil {
		return nil, "GitLab does not tell: " + err.Error()
	}
	by, lacking := agreed(r.node.Config, request, users)
	if lacking != "" {
		return nil, fmt.Sprintf("!%d %s", request.Number, lacking)
	}
	return &record.Approval{
		PlanDigest: r.attempt.PlanDigest, Source: record.FromGitLab, By: by, MergeRequest: request.Number, At: time.Now().UTC(),
	}, ""
}

// mergeRequest finds the merge request that brought the commit to the branch that is
// followed, and of several the one that left it there. Of a tag, any branch will do,
// but none that only has the commit among others: it was approved for where it ends.
func (r *reconcile) mergeRequest(ctx context.Context) (gitlab.Merged, bool, error) {
	found, err := r.Approvals.MergeRequests(ctx, r.sync.Commit)
	if err != nil {
		return gitlab.Merged{}, false, err
	}
	for _, request := range found {
		if r.revision.Tag && request.Brought || !r.revision.Tag && request.Target == r.sync.Ref {
			return request, true, nil
		}
	}
	return gitlab.Merged{}, false, nil
}

// agreed judges the approvals of a merge request, users in small letters: it gives
// those that count, or what is lacking. What its author says does not count.
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
		return nil, "is not agreed to by the change advisory board" + boardWay(label, members, unknown)
	}
	by = append(by, board...)
	slices.Sort(by)
	return slices.Compact(by), ""
}

// ofWhom names those whose approval counts, and who is not known to GitLab.
func ofWhom(users, unknown []string) string {
	text := ""
	if len(users) > 0 {
		text = " (of " + strings.Join(users, ", ") + ")"
	}
	for _, name := range unknown {
		text += fmt.Sprintf(", and %q is nobody's username: approval.roles has to say who it is", name)
	}
	return text
}

func boardWay(label string, members, unknown []string) string {
	var ways []string
	if label != "" {
		ways = append(ways, fmt.Sprintf("label %q", label))
	}
	if len(members)+len(unknown) > 0 {
		ways = append(ways, "an approval"+ofWhom(members, unknown))
	}
	return ": it takes " + strings.Join(ways, " or ")
}
