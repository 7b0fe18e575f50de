package gitlab

import (
	"context"
	"errors"
	"net/http"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"coin.internal/coin-agent/internal/fault"
)

// MergeRequest is what is asked for.
type MergeRequest struct {
	Source, Target     string // branches of the project
	Title, Description string
}

// OpenMergeRequest is a merge request that is open.
type OpenMergeRequest struct {
	Number  int64
	URL     string
	Existed bool // somebody, or an earlier run, has opened it before
}

// OpenMergeRequest opens a merge request that removes its source branch when it
// is merged, or gives the one that is open for the same two branches. An error is
// an *Error.
func (c *Client) OpenMergeRequest(ctx context.Context, wanted MergeRequest) (OpenMergeRequest, error) {
	found, err := c.findMergeRequest(ctx, wanted)
	if err != nil || found.Existed {
		return found, err
	}
	wanted.Title = fold(wanted.Title, maxLength)
	remove := true
	options := &gl.CreateMergeRequestOptions{
		Title: &wanted.Title, SourceBranch: &wanted.Source, TargetBranch: &wanted.Target, RemoveSourceBranch: &remove,
	}
	if wanted.Description != "" {
		options.Description = &wanted.Description
	}
	var opened *gl.MergeRequest
	err = c.try(ctx, "open a merge request of "+wanted.Source+" into "+wanted.Target, func(with gl.RequestOptionFunc) (resp *gl.Response, err error) {
		opened, resp, err = c.api.MergeRequests.CreateMergeRequest(c.project, options, with)
		if err == nil && (opened.IID == 0 || opened.WebURL == "") {
			err = errors.New("it is no merge request")
		}
		return resp, err
	})
	var refused *Error
	if errors.As(err, &refused) && (refused.Status == http.StatusConflict || refused.Status == 0) { // somebody was quicker, or the answer was lost
		if found, again := c.findMergeRequest(ctx, wanted); again == nil && found.Existed {
			return found, nil
		}
	}
	if err != nil {
		return OpenMergeRequest{}, err
	}
	return OpenMergeRequest{Number: opened.IID, URL: opened.WebURL}, nil
}

func (c *Client) findMergeRequest(ctx context.Context, wanted MergeRequest) (OpenMergeRequest, error) {
	state := "opened"
	options := &gl.ListProjectMergeRequestsOptions{State: &state, SourceBranch: &wanted.Source, TargetBranch: &wanted.Target}
	var found []*gl.BasicMergeRequest
	err := c.try(ctx, "look for a merge request of "+wanted.Source, func(with gl.RequestOptionFunc) (resp *gl.Response, err error) {
		found, resp, err = c.api.MergeRequests.ListProjectMergeRequests(c.project, options, with)
		return resp, err
	})
	if err != nil || len(found) == 0 {
		return OpenMergeRequest{}, err
	}
	return OpenMergeRequest{Number: found[0].IID, URL: found[0].WebURL, Existed: true}, nil
}

// Tip gives the commit that a branch of the project is at; "" when there is no
// such branch.
func (c *Client) Tip(ctx context.Context, branch string) (commit string, err error) {
	var found *gl.Branch
	err = c.try(ctx, "look for branch "+branch, func(with gl.RequestOptionFunc) (resp *gl.Response, err error) {
		found, resp, err = c.api.Branches.GetBranch(c.project, branch, with)
		if err == nil && found.Commit == nil {
			err = errors.New("it is no branch")
		}
		return resp, err
	})
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound && refused.Kind == KindPermanent {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return found.Commit.ID, nil
}

// DefaultBranch gives the branch that the project's merge requests go into.
func (c *Client) DefaultBranch(ctx context.Context) (string, error) {
	var project *gl.Project
	err := c.try(ctx, "ask for the default branch", func(with gl.RequestOptionFunc) (resp *gl.Response, err error) {
		project, resp, err = c.api.Projects.GetProject(c.project, nil, with)
		return resp, err
	})
	if err != nil {
		return "", err
	}
	if project.DefaultBranch == "" {
		return "", &Error{Kind: KindPermanent, Err: fault.New(fault.Place{}, "push the first commit to the project", "the GitLab project has no default branch")}
	}
	return project.DefaultBranch, nil
}
