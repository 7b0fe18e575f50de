package anchor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/internal/fault"
)

// notes are the comments on issues of GitLab.
type notes interface {
	Self(ctx context.Context) (gitlab.Account, error)
	Notes(ctx context.Context, issue int64) iter.Seq2[gitlab.Note, error]
	WriteNote(ctx context.Context, issue int64, text string) (gitlab.Note, error)
}

// Issue keeps each anchor as a note of its own on an issue of GitLab.
type Issue struct {
	Notes  notes
	Number int64
}

// String names the issue.
func (i Issue) String() string { return fmt.Sprintf("issue #%d", i.Number) }

// Put writes a note. If it may have been written before, Put looks for it first.
func (i Issue) Put(ctx context.Context, a Anchor, again bool) error {
	if again {
		there, err := i.has(ctx, a)
		if err != nil || there {
			return i.hinted(err)
		}
	}
	_, err := i.Notes.WriteNote(ctx, i.Number, a.String())
	return i.hinted(err)
}

// has reports whether the newest anchor of the node on the issue is a.
func (i Issue) has(ctx context.Context, a Anchor) (bool, error) {
	self, err := i.Notes.Self(ctx)
	if err != nil {
		return false, err
	}
	for note, err := range i.Notes.Notes(ctx, i.Number) {
		if err != nil {
			return false, err
		}
		if found, is := Parse(note.Text); is && note.Author.ID == self.ID && found.Node == a.Node {
			return found == a, nil
		}
	}
	return false, nil
}

// Anchors reads the anchors of a node, the newest first. Only those by the token's user
// count; it gives how many others there are.
func (i Issue) Anchors(ctx context.Context, node string) (found []audit.Anchored, others int, err error) {
	self, err := i.Notes.Self(ctx)
	if err != nil {
		return nil, 0, err
	}
	for note, err := range i.Notes.Notes(ctx, i.Number) {
		if err != nil {
			return nil, 0, i.hinted(err)
		}
		anchor, is := Parse(note.Text)
		switch {
		case !is || anchor.Node != node:
		case note.Author.ID != self.ID:
			others++
		default:
			found = append(found, audit.Anchored{
				Seq: anchor.Seq, Hash: anchor.Hash, After: anchor.After, Note: note.ID, Changed: note.Changed.After(note.Written),
			})
		}
	}
	return found, others, nil
}

// Check reads the newest note, to see that the issue is there and can be read.
func (i Issue) Check(ctx context.Context) error {
	for _, err := range i.Notes.Notes(ctx, i.Number) {
		return i.hinted(err)
	}
	return nil
}

// hinted says what to do about an issue that the token's user cannot use.
func (i Issue) hinted(err error) error {
	refused, ok := errors.AsType[*gitlab.Error](err)
	if !ok || refused.Status != http.StatusNotFound && refused.Status != http.StatusForbidden {
		return err
	}
	return fault.WithHint(err, fmt.Sprintf("set audit_issue to an open issue of gitlab_project that the token's user can read and comment on; #%d is set", i.Number))
}
