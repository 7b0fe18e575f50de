package gitlab

import (
	"context"
	"net/http"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/oneline"
)

// MergeRequest is a merge request to open.
type MergeRequest struct {
	Source, Target     string // branches of the project
	Title, Description string
}

// OpenMergeRequest is an open merge request.
type OpenMergeRequest struct {
	Number  int64
	URL     string
	Existed bool // it was opened earlier
}

// OpenMergeRequest opens a merge request that removes its source branch when it is merged.
// If a merge request for the same two branches is open, it returns that one. An error is
// an *Error.
func (c *Client) OpenMergeRequest(ctx context.Context, wanted MergeRequest) (OpenMergeRequest, error) {
	found, err := findMergeRequest(ctx, c, wanted)
	if err != nil || found.Existed {
		return found, err
	}
	wanted.Title = oneline.Cut(wanted.Title, maxLength)
	options := &gl.CreateMergeRequestOptions{
		Title: &wanted.Title, Description: optional(wanted.Description),
		SourceBranch: &wanted.Source, TargetBranch: &wanted.Target, RemoveSourceBranch: new(true),
	}
	opened, err := ask(ctx, c, "open a merge request of "+wanted.Source+" into "+wanted.Target, valid("it is not a merge request", func(with ...gl.RequestOptionFunc) (*gl.MergeRequest, *gl.Response, error) {
		return c.api.MergeRequests.CreateMergeRequest(c.project, options, with...)
	}, func(opened *gl.MergeRequest) bool { return opened.IID != 0 && opened.WebURL != "" }))
	if status := asError(err).Status; err != nil && (status == http.StatusConflict || status == 0) {
		// It was opened at the same time, or the answer was lost.
		if found, again := findMergeRequest(ctx, c, wanted); again == nil && found.Existed {
			return found, nil
		}
	}
	if err != nil {
		return OpenMergeRequest{}, err
	}
	return OpenMergeRequest{Number: opened.IID, URL: opened.WebURL}, nil
}

func findMergeRequest(ctx context.Context, c *Client, wanted MergeRequest) (OpenMergeRequest, error) {
	found, err := c.OpenRequest(ctx, wanted.Source, wanted.Target)
	return OpenMergeRequest{Number: found.Number, URL: found.URL, Existed: found.Number != 0}, err
}

// OpenRequest gives the open merge request of one of the project's branches into another, or one
// without a number. A branch of a fork with the same name is another one. An error is an *Error.
func (c *Client) OpenRequest(ctx context.Context, source, target string) (Request, error) {
	options := &gl.ListProjectMergeRequestsOptions{State: new(Opened), SourceBranch: &source, TargetBranch: &target}
	for found, err := range list(ctx, c, "find a merge request of "+source, listMergeRequests(c, options)) {
		if err != nil {
			return Request{}, err
		}
		if request := requestOf(found); !request.Fork {
			return request, nil
		}
	}
	return Request{}, nil
}

// Merged returns the merge request that has merged a commit from one branch into another, or one
// without a number.
func (c *Client) Merged(ctx context.Context, source, target, commit string) (OpenMergeRequest, error) {
	options := &gl.ListProjectMergeRequestsOptions{State: new("merged"), SourceBranch: &source, TargetBranch: &target}
	for found, err := range list(ctx, c, "find a merged merge request of "+source, listMergeRequests(c, options)) {
		if err != nil {
			return OpenMergeRequest{}, err
		}
		if found.SHA == commit {
			return OpenMergeRequest{Number: found.IID, URL: found.WebURL, Existed: true}, nil
		}
	}
	return OpenMergeRequest{}, nil
}

// Tip returns the commit of a branch of the project, or "" if the branch does not exist.
func (c *Client) Tip(ctx context.Context, branch string) (commit string, err error) {
	found, err := ask(ctx, c, "find branch "+branch, valid("it is not a branch", func(with ...gl.RequestOptionFunc) (*gl.Branch, *gl.Response, error) {
		return c.api.Branches.GetBranch(c.project, branch, with...)
	}, func(found *gl.Branch) bool { return found.Commit != nil }))
	switch {
	case asError(err).missing():
		return "", nil
	case err != nil:
		return "", err
	}
	return found.Commit.ID, nil
}

// DefaultBranch returns the default target branch of the project's merge requests.
func (c *Client) DefaultBranch(ctx context.Context) (string, error) {
	project, err := ask(ctx, c, "read the default branch", func(with ...gl.RequestOptionFunc) (*gl.Project, *gl.Response, error) {
		return c.api.Projects.GetProject(c.project, nil, with...)
	})
	if err != nil {
		return "", err
	}
	if project.DefaultBranch == "" {
		return "", &Error{Kind: KindPermanent, Err: fault.New(fault.Place{}, "push the first commit to the project", "the GitLab project has no default branch")}
	}
	return project.DefaultBranch, nil
}
