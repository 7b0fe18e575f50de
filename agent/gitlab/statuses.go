package gitlab

import (
	"context"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// CommitStatus is an entry of a commit, as GitLab has it.
type CommitStatus struct {
	Name     string
	State    State
	Finished time.Time // zero where it has not ended
}

// Statuses reads all statuses of a commit, by its full hash: those that were
// posted and those of CI jobs, the oldest first. An error is an *Error.
func (c *Client) Statuses(ctx context.Context, commit string) ([]CommitStatus, error) {
	all := true
	options := &gl.GetCommitStatusesOptions{
		ListOptions: gl.ListOptions{OrderBy: "id", Sort: "asc", PerPage: 100, Page: 1}, All: &all,
	}
	var found []CommitStatus
	for options.Page != 0 {
		var page []*gl.CommitStatus
		var next int64
		err := c.try(ctx, "read statuses of commit "+short(commit), func(with gl.RequestOptionFunc) (resp *gl.Response, err error) {
			page, resp, err = c.api.Commits.GetCommitStatuses(c.project, commit, options, with)
			if err == nil {
				next = resp.NextPage
			}
			return resp, err
		})
		if err != nil {
			return nil, err
		}
		for _, one := range page {
			status := CommitStatus{Name: one.Name, State: State(one.Status)}
			if one.FinishedAt != nil {
				status.Finished = *one.FinishedAt
			}
			found = append(found, status)
		}
		options.Page = next
	}
	return found, nil
}
