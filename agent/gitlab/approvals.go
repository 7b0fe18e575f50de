package gitlab

import (
	"context"
	"errors"
	"slices"
	"strings"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// Merged is a merged merge request that contains a commit.
type Merged struct {
	Number int64
	URL    string
	Author string // username
	Target string // branch
	Labels []string
	// Brought means that the commit is the result of the merge on the branch: its merge
	// commit, its squash commit, or its last commit.
	Brought bool
}

// MergeRequests lists the merged merge requests that contain a commit, given by its full
// hash: first those with Brought, and each part by number. An error is an *Error.
func (c *Client) MergeRequests(ctx context.Context, commit string) ([]Merged, error) {
	var found []Merged
	read := func(with ...gl.RequestOptionFunc) ([]*gl.BasicMergeRequest, *gl.Response, error) {
		return c.api.Commits.ListMergeRequestsByCommit(c.project, commit, with...)
	}
	for one, err := range list(ctx, c, "find the merge requests of commit "+short(commit), read) {
		if err != nil {
			return nil, err
		}
		if one.State == "merged" {
			found = append(found, merged(one, commit))
		}
	}
	slices.SortFunc(found, func(a, b Merged) int {
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

func merged(one *gl.BasicMergeRequest, commit string) Merged {
	m := Merged{Number: one.IID, URL: one.WebURL, Target: one.TargetBranch, Labels: one.Labels}
	if one.Author != nil {
		m.Author = one.Author.Username
	}
	m.Brought = slices.Contains([]string{one.MergeCommitSHA, one.SquashCommitSHA, one.SHA}, commit)
	return m
}

// Approvals lists the users who have approved a merge request, as usernames in lower case,
// sorted. GitLab's own verdict is not used, because GitLab approves every merge request if
// the project has no rules. An error is an *Error.
func (c *Client) Approvals(ctx context.Context, number int64) ([]string, error) {
	const what = "read the approvals of the merge request"
	approvals, err := ask(ctx, c, what, func(with ...gl.RequestOptionFunc) (*gl.MergeRequestApprovals, *gl.Response, error) {
		return c.api.MergeRequestApprovals.GetConfiguration(c.project, number, with...)
	})
	if err != nil {
		return nil, err
	}
	users := []string{}
	for _, one := range approvals.ApprovedBy {
		if one.User == nil || one.User.Username == "" {
			return nil, &Error{Kind: KindRetry, Err: errors.New(what + ": the answer has an approval without a user")}
		}
		users = append(users, strings.ToLower(one.User.Username))
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}
