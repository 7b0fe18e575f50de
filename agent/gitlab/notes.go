package gitlab

import (
	"context"
	"fmt"
	"iter"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// Account is a user of GitLab.
type Account struct {
	ID   int64
	Name string // username
}

// Self requests the user of the token. An error is an *Error.
func (c *Client) Self(ctx context.Context) (Account, error) {
	user, err := ask(ctx, c, "read the token's user", valid("it is not a user", c.api.Users.CurrentUser,
		func(user *gl.User) bool { return user.ID != 0 && user.Username != "" }))
	if err != nil {
		return Account{}, err
	}
	return Account{ID: user.ID, Name: user.Username}, nil
}

// Note is a comment of a user on an issue.
type Note struct {
	ID      int64
	Author  Account
	Text    string
	Written time.Time
	Changed time.Time // of its text; a reaction to it counts too
}

// Notes requests the comments on an issue, the newest first. It requests a page when it is
// needed. An error is an *Error, and comes last.
func (c *Client) Notes(ctx context.Context, issue int64) iter.Seq2[Note, error] {
	options := &gl.ListIssueNotesOptions{
		ListOptions: gl.ListOptions{PerPage: 100}, OrderBy: new("created_at"), Sort: new("desc"),
	}
	read := func(with ...gl.RequestOptionFunc) ([]*gl.Note, *gl.Response, error) {
		return c.api.Notes.ListIssueNotes(c.project, issue, options, with...)
	}
	return written(list(ctx, c, fmt.Sprintf("read the notes on issue #%d", issue), read))
}

// written gives the notes that users wrote.
func written(notes iter.Seq2[*gl.Note, error]) iter.Seq2[Note, error] {
	return func(yield func(Note, error) bool) {
		for one, err := range notes {
			switch {
			case err != nil:
				yield(Note{}, err)
				return
			case one.System: // GitLab's own, about a change
			case !yield(noteOf(one), nil):
				return
			}
		}
	}
}

// WriteNote writes a comment on an issue. An error is an *Error.
func (c *Client) WriteNote(ctx context.Context, issue int64, text string) (Note, error) {
	options := &gl.CreateIssueNoteOptions{Body: &text}
	note, err := ask(ctx, c, fmt.Sprintf("write a note on issue #%d", issue), valid("it is not the note", func(with ...gl.RequestOptionFunc) (*gl.Note, *gl.Response, error) {
		return c.api.Notes.CreateIssueNote(c.project, issue, options, with...)
	}, func(note *gl.Note) bool { return note.ID != 0 && note.Body == text }))
	if err != nil {
		return Note{}, err
	}
	return noteOf(note), nil
}

func noteOf(one *gl.Note) Note {
	note := Note{ID: one.ID, Author: Account{ID: one.Author.ID, Name: one.Author.Username}, Text: one.Body}
	if one.CreatedAt != nil {
		note.Written = *one.CreatedAt
	}
	if one.UpdatedAt != nil {
		note.Changed = *one.UpdatedAt
	}
	return note
}
