package gitlab

import (
	"context"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// CommitStatus is a status entry of a commit in GitLab.
type CommitStatus struct {
	Name     string
	State    State
	Finished time.Time // zero if it has not ended
}

// Statuses reads all statuses of a commit, given by its full hash, including those of CI
// jobs, the oldest first. An error is an *Error.
func (c *Client) Statuses(ctx context.Context, commit string) ([]CommitStatus, error) {
	var found []CommitStatus
	err := c.eachStatus(ctx, commit, gl.GetCommitStatusesOptions{ListOptions: gl.ListOptions{OrderBy: "id", Sort: "asc"}}, func(one *gl.CommitStatus) bool {
		status := CommitStatus{Name: one.Name, State: State(one.Status)}
		if one.FinishedAt != nil {
			status.Finished = *one.FinishedAt
		}
		found = append(found, status)
		return true
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// latest finds the newest entry with the report's name, from one user unless user is 0. It
// searches all pipelines of the commit, because an unanswered post may have gone to another
// pipeline than the known one.
func (c *Client) latest(ctx context.Context, r Report, user int64) (newest Posted, found bool, err error) {
	options := gl.GetCommitStatusesOptions{ListOptions: gl.ListOptions{OrderBy: "id", Sort: "desc"}, Ref: &r.Ref, Name: &r.Name}
	err = c.eachStatus(ctx, r.Commit, options, func(status *gl.CommitStatus) bool {
		if found = user == 0 || status.Author.ID == user; found {
			newest = posted(status)
		}
		return !found
	})
	return newest, found, err
}

// eachStatus calls visit for the statuses of a commit until visit returns false.
func (c *Client) eachStatus(ctx context.Context, commit string, options gl.GetCommitStatusesOptions, visit func(*gl.CommitStatus) bool) error {
	all := true
	options.All, options.PerPage, options.Page = &all, 100, 1
	for options.Page != 0 {
		page, next, err := ask(ctx, c, "read statuses of commit "+short(commit), func(with gl.RequestOptionFunc) ([]*gl.CommitStatus, *gl.Response, error) {
			return c.api.Commits.GetCommitStatuses(c.project, commit, &options, with)
		})
		if err != nil {
			return err
		}
		for _, status := range page {
			if !visit(status) {
				return nil
			}
		}
		options.Page = next
	}
	return nil
}
