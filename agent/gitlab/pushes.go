package gitlab

import (
	"context"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// mostEvents bounds how many pushes to the project are searched.
const mostEvents = 1000

// Pusher gives the user whose push brought a branch to a commit, by the events of the project, which
// GitLab writes itself; the zero Account if it is not known. Events are lost after some years, of a
// push of many branches at once, and come a moment after the push. An error is an *Error.
func (c *Client) Pusher(ctx context.Context, branch, commit string) (Account, error) {
	options := &gl.ListProjectVisibleEventsOptions{
		ListOptions: gl.ListOptions{PerPage: 100}, Action: new(gl.PushedEventType), Sort: new("desc"),
	}
	read := func(page gl.ListOptions, with gl.RequestOptionFunc) ([]*gl.ProjectEvent, *gl.Response, error) {
		asked := *options
		asked.ListOptions = page
		return c.api.Events.ListProjectVisibleEvents(c.project, &asked, with)
	}
	searched := 0
	for one, err := range pages(ctx, c, "read the pushes to "+branch, read) {
		if err != nil {
			return Account{}, err
		}
		if push := one.PushData; push.RefType == "branch" && push.Ref == branch { // the last push to it
			if push.CommitTo != commit {
				break
			}
			return Account{ID: one.AuthorID, Name: one.AuthorUsername}, nil
		}
		if searched++; searched == mostEvents {
			break
		}
	}
	return Account{}, nil
}
