package gitlab

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"coin.internal/coin-agent/internal/lazyregexp"
)

// version is a state of the diff of a merge request. GitLab makes one of each push, and when
// the target branch is changed.
type version struct {
	diff  diff
	since time.Time
}

// diff is what a user sees who reviews a merge request.
type diff struct {
	head string // the last commit of the source branch
	base string // the commit of the target branch that it is compared with
}

// versionsOf reads the versions of a merge request, the oldest first.
func versionsOf(ctx context.Context, c *Client, number int64) ([]version, error) {
	const what = "read the versions of the merge request"
	options := &gl.GetMergeRequestDiffVersionsOptions{ListOptions: gl.ListOptions{PerPage: 100}}
	read := func(with ...gl.RequestOptionFunc) ([]*gl.MergeRequestDiffVersion, *gl.Response, error) {
		return c.api.MergeRequests.GetMergeRequestDiffVersions(c.project, number, options, with...)
	}
	var found []*gl.MergeRequestDiffVersion
	for one, err := range list(ctx, c, what, read) {
		if err != nil {
			return nil, err
		}
		if one.CreatedAt == nil || one.HeadCommitSHA == "" {
			return nil, &Error{Kind: KindRetry, Err: errors.New(what + ": the answer has a version without a commit or time")}
		}
		found = append(found, one)
	}
	slices.SortFunc(found, func(a, b *gl.MergeRequestDiffVersion) int { return int(a.ID - b.ID) })
	versions := make([]version, 0, len(found))
	for _, one := range found {
		versions = append(versions, version{diff{one.HeadCommitSHA, one.BaseCommitSHA}, *one.CreatedAt})
	}
	return versions, nil
}

// diffAt gives the diff that was there before a time; the zero diff if that is not known: no
// time, and more than one diff.
func diffAt(versions []version, at time.Time) diff {
	var found diff
	for _, one := range versions {
		switch {
		case !at.IsZero() && !one.since.Before(at):
			return found
		case at.IsZero() && found != (diff{}) && found != one.diff:
			return diff{}
		}
		found = one.diff
	}
	return found
}

// notes are what GitLab itself noted on a merge request.
type notes struct {
	approved   map[string]time.Time // by user, the last time: an older GitLab has it only here
	pushed     map[string]bool      // by user
	retargeted time.Time            // when the target branch was changed last; zero: never
}

// pushNote is the start of GitLab's note of a push to the source branch.
var pushNote = lazyregexp.New(`^added \d+ (new )?commits?\b`) //nolint:gochecknoglobals // a constant

// targetNote is the start of GitLab's notes of another target branch: a user chose it, or the
// earlier one was removed. The name of the earlier one can have any character.
var targetNote = lazyregexp.New("^(changed target branch from `|deleted the `.*` branch\\. This merge request now targets the `)") //nolint:gochecknoglobals // a constant

// systemNotes reads the notes that GitLab wrote, which no user can write.
func systemNotes(ctx context.Context, c *Client, number int64) (notes, error) {
	found := notes{approved: map[string]time.Time{}, pushed: map[string]bool{}}
	options := &gl.ListMergeRequestNotesOptions{ListOptions: gl.ListOptions{PerPage: 100}, OrderBy: new("created_at"), Sort: new("asc")}
	read := func(with ...gl.RequestOptionFunc) ([]*gl.Note, *gl.Response, error) {
		return c.api.Notes.ListMergeRequestNotes(c.project, number, options, with...)
	}
	for one, err := range list(ctx, c, "read the notes of the merge request", read) {
		if err != nil {
			return found, err
		}
		user := strings.ToLower(one.Author.Username)
		switch {
		case !one.System:
		case one.Body == "approved this merge request" && one.CreatedAt != nil:
			found.approved[user] = *one.CreatedAt
		case pushNote().MatchString(one.Body):
			found.pushed[user] = true
		case targetNote().MatchString(one.Body) && one.CreatedAt != nil:
			found.retargeted = *one.CreatedAt
		}
	}
	return found, nil
}

// writers are the names and e-mail addresses in the commits of a merge request, in lower
// case. They are text that the author of a commit chose.
type writers map[string]bool

func writersOf(ctx context.Context, c *Client, number int64) (writers, error) {
	found := writers{}
	options := &gl.GetMergeRequestCommitsOptions{ListOptions: gl.ListOptions{PerPage: 100}}
	read := func(with ...gl.RequestOptionFunc) ([]*gl.Commit, *gl.Response, error) {
		return c.api.MergeRequests.GetMergeRequestCommits(c.project, number, options, with...)
	}
	for one, err := range list(ctx, c, "read the commits of the merge request", read) {
		if err != nil {
			return nil, err
		}
		for _, text := range []string{one.AuthorName, one.CommitterName} {
			found[strings.ToLower(strings.TrimSpace(text))] = true
		}
		for _, address := range []string{one.AuthorEmail, one.CommitterEmail} {
			name, _, _ := strings.Cut(strings.ToLower(address), "@")
			found[strings.TrimLeft(name, "0123456789-")] = true // 17-ada@users.noreply.gitlab.example.com
			found[name] = true
		}
	}
	return found, nil
}

// are reports whether a user is one of the writers: by the name, the username, or an
// e-mail address that starts with the username. GitLab does not show the addresses of
// users.
func (w writers) are(user *gl.BasicUser) bool {
	name := strings.ToLower(strings.TrimSpace(user.Name))
	return w[strings.ToLower(user.Username)] || name != "" && w[name]
}
