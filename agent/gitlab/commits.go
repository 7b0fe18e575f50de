package gitlab

import (
	"context"
	"net/http"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"coin.internal/coin-agent/internal/fault"
)

// Commit gives the full hash of a commit, given by its hash, a branch or a tag. An error is
// an *Error.
func (c *Client) Commit(ctx context.Context, revision string) (string, error) {
	found, err := ask(ctx, c, "read commit "+revision, valid("it is not a commit", func(with ...gl.RequestOptionFunc) (*gl.Commit, *gl.Response, error) {
		return c.api.Commits.GetCommit(c.project, revision, nil, with...)
	}, func(found *gl.Commit) bool { return found.ID != "" }))
	if asError(err).missing() {
		err = &Error{Kind: KindPermanent, Status: http.StatusNotFound, Err: fault.New(fault.Place{}, "name a commit that is pushed to project "+c.project, "GitLab has no commit %s", revision)}
	}
	if err != nil {
		return "", err
	}
	return found.ID, nil
}

// Commits lists the hashes of the newest commits of a branch, the newest first. An error is
// an *Error.
func (c *Client) Commits(ctx context.Context, branch string, most int64) ([]string, error) {
	options := &gl.ListCommitsOptions{ListOptions: gl.ListOptions{PerPage: min(most, 100)}, RefName: &branch}
	read := func(with ...gl.RequestOptionFunc) ([]*gl.Commit, *gl.Response, error) {
		return c.api.Commits.ListCommits(c.project, options, with...)
	}
	hashes := make([]string, 0, most)
	for one, err := range list(ctx, c, "read the commits of "+branch, read) {
		if err != nil {
			return nil, err
		}
		if hashes = append(hashes, one.ID); int64(len(hashes)) >= most {
			break
		}
	}
	return hashes, nil
}

// Tag is a tag in GitLab.
type Tag struct{ Name, Commit string }

// Tags lists the tags of the newest commits, at most some of them. An error is an *Error.
func (c *Client) Tags(ctx context.Context, most int64) ([]Tag, error) {
	options := &gl.ListTagsOptions{ListOptions: gl.ListOptions{PerPage: 100}, OrderBy: new("updated"), Sort: new("desc")}
	read := func(with ...gl.RequestOptionFunc) ([]*gl.Tag, *gl.Response, error) {
		return c.api.Tags.ListTags(c.project, options, with...)
	}
	var tags []Tag
	for one, err := range list(ctx, c, "read the tags", read) {
		if err != nil {
			return nil, err
		}
		if one.Commit != nil { // else it is of a file or folder
			tags = append(tags, Tag{one.Name, one.Commit.ID})
		}
		if int64(len(tags)) >= most {
			break
		}
	}
	return tags, nil
}

// File reads a file of a commit, given by its full hash. A file that the commit does not have
// is nil. An error is an *Error.
func (c *Client) File(ctx context.Context, commit, path string) ([]byte, error) {
	content, resp, err := c.api.RepositoryFiles.GetRawFile(c.project, path, &gl.GetRawFileOptions{Ref: &commit}, gl.WithContext(c.budget(ctx)))
	err = c.refusal("read "+path+" of commit "+short(commit), resp != nil, err)
	switch {
	case asError(err).missing():
		return nil, nil
	case err != nil:
		return nil, err
	case content == nil:
		content = []byte{} // an empty file
	}
	return content, nil
}
