package gitlab

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// Requests are the merge requests of the project, with their notes, for plans before the
// merge.
type Requests struct {
	client *Client

	mu      sync.Mutex
	commit  string    // that Brought was asked for last
	brought []Request // what brought it
}

// NewRequests makes Requests.
func NewRequests(client *Client) *Requests { return &Requests{client: client} }

// Opened is the state of a merge request that can be merged.
const Opened = "opened"

// Request is a merge request.
type Request struct {
	Number         int64
	State          string // opened, closed, locked or merged
	Author         string // username in lower case
	Source, Target string // branches
	Fork           bool   // the two branches are in different projects
	Head           string // the last commit of the source branch
	Base           string // the commit that the source branch began at; "" if GitLab does not say
	URL            string
	Labels         []string
	// Updated is when it changed last. An approval changes it, its withdrawal and a label, but
	// also each note.
	Updated time.Time
	// Brought means that a commit, of which MergeRequests was asked, is the result of the merge on
	// the branch: its merge commit, its squash commit, or its last commit.
	Brought bool
}

// MostOpen bounds how many open merge requests are read.
const MostOpen = 200

// Open lists the merge requests into a branch that are open, the one that changed last
// first, at most MostOpen. The requests have no Base. An error is an *Error.
func (r *Requests) Open(ctx context.Context, target string) ([]Request, error) {
	options := gl.ListProjectMergeRequestsOptions{
		State: new(Opened), TargetBranch: &target, OrderBy: new("updated_at"), Sort: new("desc"),
	}
	read := func(page gl.ListOptions, with gl.RequestOptionFunc) ([]*gl.BasicMergeRequest, *gl.Response, error) {
		asked := options
		asked.ListOptions = page
		return listMergeRequests(r.client, &asked)(with)
	}
	var open []Request
	for one, err := range pages(ctx, r.client, "read the open merge requests into "+target, read) {
		if err != nil {
			return nil, err
		}
		if open = append(open, requestOf(one)); len(open) == MostOpen {
			break
		}
	}
	return open, nil
}

// listMergeRequests gives the request for the merge requests of the project. The library's own
// function panics when one of them is null.
func listMergeRequests(c *Client, options *gl.ListProjectMergeRequestsOptions) call[[]*gl.BasicMergeRequest] {
	return func(with ...gl.RequestOptionFunc) (found []*gl.BasicMergeRequest, _ *gl.Response, err error) {
		request, err := c.api.NewRequest(http.MethodGet, "projects/"+gl.PathEscape(c.project)+"/merge_requests", options, with)
		if err != nil {
			return nil, nil, err
		}
		resp, err := c.api.Do(request, &found)
		return found, resp, err
	}
}

// Find reads a merge request. An error is an *Error.
func (r *Requests) Find(ctx context.Context, number int64) (Request, error) {
	found, err := ask(ctx, r.client, fmt.Sprintf("read merge request !%d", number), valid("it is not the merge request", func(with ...gl.RequestOptionFunc) (*gl.MergeRequest, *gl.Response, error) {
		return r.client.api.MergeRequests.GetMergeRequest(r.client.project, number, nil, with...)
	}, func(found *gl.MergeRequest) bool { return found.IID == number }))
	if err != nil {
		return Request{}, err
	}
	request := requestOf(&found.BasicMergeRequest)
	request.Base = found.DiffRefs.BaseSha
	return request, nil
}

func requestOf(one *gl.BasicMergeRequest) Request {
	r := Request{
		Number: one.IID, State: one.State, Source: one.SourceBranch, Target: one.TargetBranch,
		Fork: one.SourceProjectID == 0 || one.SourceProjectID != one.TargetProjectID, Head: one.SHA, URL: one.WebURL,
		Labels: one.Labels,
	}
	if one.Author != nil {
		r.Author = strings.ToLower(one.Author.Username)
	}
	if one.UpdatedAt != nil {
		r.Updated = *one.UpdatedAt
	}
	return r
}

// Brought lists the merge requests that brought a commit, given by its full hash, to a
// branch. Once there is one, it is not asked for the same commit again. An error is an *Error.
func (r *Requests) Brought(ctx context.Context, commit string) ([]Request, error) {
	r.mu.Lock()
	known, brought := r.commit, r.brought
	r.mu.Unlock()
	if commit == known {
		return brought, nil
	}
	all, err := r.client.MergeRequests(ctx, commit)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(one Request) bool { return !one.Brought }); i >= 0 {
		all = all[:i:i] // the others follow
	}
	if len(all) > 0 {
		r.mu.Lock()
		r.commit, r.brought = commit, all
		r.mu.Unlock()
	}
	return all, nil
}

// Self gives the user of the token, whom it asks for once for each token. An error is an
// *Error.
func (r *Requests) Self(ctx context.Context) (Account, error) { return r.client.self.of(ctx, r.client) }

// Notes requests the notes on a merge request that users wrote, the oldest first. It
// requests a page when it is needed. An error is an *Error, and comes last.
func (r *Requests) Notes(ctx context.Context, number int64) iter.Seq2[Note, error] {
	read := func(page gl.ListOptions, with gl.RequestOptionFunc) ([]*gl.Note, *gl.Response, error) {
		options := &gl.ListMergeRequestNotesOptions{ListOptions: page, OrderBy: new("created_at"), Sort: new("asc")}
		return r.client.api.Notes.ListMergeRequestNotes(r.client.project, number, options, with)
	}
	return written(pages(ctx, r.client, fmt.Sprintf("read the notes on merge request !%d", number), read))
}

// Write writes a note on a merge request. An error is an *Error.
func (r *Requests) Write(ctx context.Context, number int64, text string) (Note, error) {
	options := &gl.CreateMergeRequestNoteOptions{Body: &text}
	note, err := ask(ctx, r.client, fmt.Sprintf("write a note on merge request !%d", number), valid("it is not the note", func(with ...gl.RequestOptionFunc) (*gl.Note, *gl.Response, error) {
		return r.client.api.Notes.CreateMergeRequestNote(r.client.project, number, options, with...)
	}, func(note *gl.Note) bool { return note.ID != 0 }))
	if err != nil {
		return Note{}, err
	}
	return noteOf(note), nil
}

// Change replaces the text of a note on a merge request. An error is an *Error.
func (r *Requests) Change(ctx context.Context, number, id int64, text string) error {
	options := &gl.UpdateMergeRequestNoteOptions{Body: &text}
	_, err := ask(ctx, r.client, fmt.Sprintf("change the note on merge request !%d", number), func(with ...gl.RequestOptionFunc) (*gl.Note, *gl.Response, error) {
		return r.client.api.Notes.UpdateMergeRequestNote(r.client.project, number, id, options, with...)
	})
	return err
}

// Remove removes a note on a merge request, unless it is gone. An error is an *Error.
func (r *Requests) Remove(ctx context.Context, number, id int64) error {
	_, err := ask(ctx, r.client, fmt.Sprintf("remove the note on merge request !%d", number), func(with ...gl.RequestOptionFunc) (*struct{}, *gl.Response, error) {
		resp, err := r.client.api.Notes.DeleteMergeRequestNote(r.client.project, number, id, with...)
		return &struct{}{}, resp, err
	})
	if refused := asError(err); err != nil && refused.Status == http.StatusNotFound && refused.missing() {
		return nil
	}
	return err
}
