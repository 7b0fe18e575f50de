package gitlab

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// Merged is the state of a merge request that was merged.
const Merged = "merged"

// MergeRequests lists the merge requests that contain a commit, given by its full hash:
// first those with Brought, and each part by number. An error is an *Error.
func (c *Client) MergeRequests(ctx context.Context, commit string) ([]Request, error) {
	var found []Request
	read := func(with ...gl.RequestOptionFunc) ([]*gl.BasicMergeRequest, *gl.Response, error) {
		return c.api.Commits.ListMergeRequestsByCommit(c.project, commit, with...)
	}
	for one, err := range list(ctx, c, "find the merge requests of commit "+short(commit), read) {
		if err != nil {
			return nil, err
		}
		request := requestOf(one)
		request.Brought = one.State == Merged && slices.Contains([]string{one.MergeCommitSHA, one.SquashCommitSHA, one.SHA}, commit)
		found = append(found, request)
	}
	slices.SortFunc(found, func(a, b Request) int {
		if a.Brought != b.Brought {
			if a.Brought {
				return -1
			}
			return 1
		}
		return int(a.Number - b.Number)
	})
	return found, nil
}

// Approval is what a user agreed to.
type Approval struct {
	User string // username in lower case
	// Outdated means that the user approved another diff than that of the merge request:
	// something was pushed later, or it is not known when the user approved.
	Outdated bool
	// Retargeted means that the target branch was changed after the user approved.
	Retargeted bool
	// Wrote means that the user is an author or committer of a commit of the merge request,
	// or pushed to it.
	Wrote bool
}

// Approvals lists the users who have approved a merge request, sorted. GitLab's own verdict
// is not used, because GitLab approves every merge request if the project has no rules. An
// error is an *Error.
func (c *Client) Approvals(ctx context.Context, of Request) ([]Approval, error) {
	const what = "read the approvals of the merge request"
	answer, err := ask(ctx, c, what, func(with ...gl.RequestOptionFunc) (*gl.MergeRequestApprovals, *gl.Response, error) {
		return c.api.MergeRequestApprovals.GetConfiguration(c.project, of.Number, with...)
	})
	if err != nil || len(answer.ApprovedBy) == 0 { // then nothing else needs to be known
		return nil, err
	}
	versions, err := versionsOf(ctx, c, of.Number)
	if err != nil {
		return nil, err
	}
	notes, err := systemNotes(ctx, c, of.Number)
	if err != nil {
		return nil, err
	}
	writers, err := writersOf(ctx, c, of.Number)
	if err != nil {
		return nil, err
	}
	var approvals []Approval
	for _, one := range answer.ApprovedBy {
		if one == nil || one.User == nil || one.User.Username == "" {
			return nil, &Error{Kind: KindRetry, Err: errors.New(what + ": the answer has an approval without a user")}
		}
		user := strings.ToLower(one.User.Username)
		at := notes.approved[user]
		if one.ApprovedAt != nil {
			at = *one.ApprovedAt
		}
		approvals = append(approvals, Approval{
			User: user, Outdated: outdated(of, versions, at),
			Retargeted: !notes.retargeted.IsZero() && !notes.retargeted.Before(at),
			Wrote:      notes.pushed[user] || writers.are(one.User),
		})
	}
	slices.SortFunc(approvals, func(a, b Approval) int { return strings.Compare(a.User, b.User) })
	return slices.CompactFunc(approvals, func(a, b Approval) bool { return a.User == b.User }), nil
}

// Protected reports whether a branch of the project is its default branch, or a protected
// one. An error is an *Error.
func (c *Client) Protected(ctx context.Context, branch string) (bool, error) {
	found, err := ask(ctx, c, "find branch "+branch, func(with ...gl.RequestOptionFunc) (*gl.Branch, *gl.Response, error) {
		return c.api.Branches.GetBranch(c.project, branch, with...)
	})
	switch {
	case asError(err).missing():
		return false, nil // the branch was removed
	case err != nil:
		return false, err
	}
	return found.Default || found.Protected, nil
}

// outdated reports whether another diff was approved at a time than the last one of a merge
// request.
func outdated(of Request, versions []version, at time.Time) bool {
	approved := diffAt(versions, at)
	return of.Head == "" || approved.head != of.Head || approved != versions[len(versions)-1].diff
}
