package gitlab

import (
	"context"
	"errors"
	"slices"
	"strings"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// Merged is a merge request that was merged and has a commit.
type Merged struct {
	Number int64
	URL    string
	Author string // username
	Target string // branch
	Labels []string
	// Brought says that the commit is what the merge left on the branch: its merge
	// commit, its squash commit, or its last one.
	Brought bool
}

// MergeRequests lists the merge requests that were merged and have a commit, by its
// full hash: first those whose merge brought it, each sort by number. An error is an
// *Error.
func (c *Client) MergeRequests(ctx context.Context, commit string) ([]Merged, error) {
	var found []Merged
	for page := int64(1); page != 0; {
		var listed []*gl.BasicMergeRequest
		var next int64
		err := c.try(ctx, "look for the merge request of commit "+short(commit), func(with gl.RequestOptionFunc) (resp *gl.Response, err error) {
			listed, resp, err = c.api.Commits.ListMergeRequestsByCommit(c.project, commit, with, gl.WithOffsetPaginationParameters(page))
			if err == nil {
				next = resp.NextPage
			}
			return resp, err
		})
		if err != nil {
			return nil, err
		}
		for _, one := range listed {
			if one.State == "merged" {
				found = append(found, merged(one, commit))
			}
		}
		page = next
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

// Approvals lists who has approved a merge request, as usernames in small letters,
// sorted. Whether GitLab itself calls it approved says nothing: without rules it
// does so of each. An error is an *Error.
func (c *Client) Approvals(ctx context.Context, number int64) ([]string, error) {
	var approvals *gl.MergeRequestApprovals
	err := c.try(ctx, "ask who has approved the merge request", func(with gl.RequestOptionFunc) (resp *gl.Response, err error) {
		approvals, resp, err = c.api.MergeRequestApprovals.GetConfiguration(c.project, number, with)
		return resp, err
	})
	if err != nil {
		return nil, err
	}
	users := []string{}
	for _, one := range approvals.ApprovedBy {
		if one.User == nil || one.User.Username == "" {
			return nil, &Error{Kind: KindRetry, Err: errors.New("ask who has approved the merge request: the answer does not say who")}
		}
		users = append(users, strings.ToLower(one.User.Username))
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}
