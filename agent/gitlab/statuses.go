package gitlab

import (
	"context"
	"iter"
	"strings"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// CommitStatus is a status entry of a commit in GitLab.
type CommitStatus struct {
	Name        string
	State       State
	Author      string // username in lower case
	Description string
	Created     time.Time
	Finished    time.Time // zero if it has not ended
}

// Statuses reads all statuses of a commit, given by its full hash, including those of CI
// jobs, the oldest first. An error is an *Error.
func (c *Client) Statuses(ctx context.Context, commit string) ([]CommitStatus, error) {
	var found []CommitStatus
	for one, err := range statusesOf(ctx, c, commit, gl.GetCommitStatusesOptions{ListOptions: gl.ListOptions{Sort: "asc"}}) {
		if err != nil {
			return nil, err
		}
		status := CommitStatus{Name: one.Name, State: State(one.Status), Author: strings.ToLower(one.Author.Username), Description: one.Description}
		if one.CreatedAt != nil {
			status.Created = *one.CreatedAt
		}
		if one.FinishedAt != nil {
			status.Finished = *one.FinishedAt
		}
		found = append(found, status)
	}
	return found, nil
}

// latestStatus finds the newest entry with the report's name, from the token's user where GitLab
// reports that. It searches all pipelines of the commit, because an unanswered post may have
// gone to another pipeline than the known one. A deployment is searched for among those since a
// time.
func latestStatus(ctx context.Context, c *Client, r Report, since time.Time) (newest Posted, found bool, err error) {
	if r.Deployment {
		return latestDeployment(ctx, c, r, since)
	}
	user, err := userID(ctx, c)
	if err != nil {
		return Posted{}, false, err
	}
	options := gl.GetCommitStatusesOptions{ListOptions: gl.ListOptions{Sort: "desc"}, Ref: &r.Ref, Name: &r.Name}
	for status, err := range statusesOf(ctx, c, r.Commit, options) {
		if err != nil {
			return Posted{}, false, err
		}
		if user == 0 || status.Author.ID == user {
			return posted(status), true, nil
		}
	}
	return Posted{}, false, nil
}

// statusesOf reads the statuses of a commit by their ID, also those that GitLab has marked as
// retried.
func statusesOf(
	ctx context.Context, c *Client, commit string, options gl.GetCommitStatusesOptions,
) iter.Seq2[*gl.CommitStatus, error] {
	options.All, options.OrderBy, options.PerPage = new(true), "id", 100
	read := func(with ...gl.RequestOptionFunc) ([]*gl.CommitStatus, *gl.Response, error) {
		return c.api.Commits.GetCommitStatuses(c.project, commit, &options, with...)
	}
	return list(ctx, c, "read statuses of commit "+short(commit), read)
}
