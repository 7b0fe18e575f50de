package preview

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

// noteTime bounds a read and the write after it: firstCheck and lastCheck rely on it.
const noteTime = 30 * time.Second

// show takes the next step of a text: it writes it into the note, or looks whether it is
// still there. fresh is the merge request if GitLab was just asked for it; else nil.
func (w *Worker) show(ctx context.Context, one *Shown, fresh *gitlab.Request) error {
	text, err := w.use.Store.PreviewText(one.Number)
	if err != nil {
		return err
	}
	at := &board{w: w, of: *one, page: text.Page, fresh: fresh}
	limited, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	there, err := at.write(limited)
	switch {
	case gone(err):
		return w.rest(one)
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return w.putOff(one.Number, err)
	case at.closed:
		return w.rest(one)
	}
	return w.after(one, at, there)
}

// putOff moves the next step of a text behind those of other merge requests, after an error.
// An error of this merge request alone, such as notes that are too long, stops nothing else.
func (w *Worker) putOff(number int64, err error) error {
	one := *w.shown[number] // make may have recorded more
	if !alone(err) {
		one.Due = time.Now().Add(lastCheck)
		return errors.Join(err, w.save(one, nil))
	}
	if one.Fails++; one.Fails >= mostFails {
		w.use.Log.Warn("the plan cannot be shown on the merge request", "number", number, "error", err, "hint", fault.Hint(err))
		return w.rest(&one)
	}
	wait := backoff.Wait{Tries: one.Fails}.After(0, w.use.Random)
	if one.Fails > mostTries {
		wait.Until = time.Now().Add(longestRest)
	}
	one.Due = wait.Until
	w.use.Log.Info("cannot show the plan on a merge request", "number", number, "next", one.Due, "error", err)
	return w.save(one, nil)
}

// alone reports whether an error may be of one merge request, and not of GitLab or of this
// node.
func alone(err error) bool {
	refused, ok := errors.AsType[*gitlab.Error](err)
	return errors.Is(err, limits.ErrExceeded) || errors.Is(err, context.DeadlineExceeded) || ok && refused.Kind == gitlab.KindPermanent
}

// rest records that nothing is left to do.
func (w *Worker) rest(one *Shown) error {
	rested := *one
	rested.Phase, rested.Report, rested.Due, rested.Making = "", nil, time.Time{}, false
	return w.save(rested, nil)
}

// after records what the note has now, and when to look at it next.
func (w *Worker) after(one *Shown, at *board, there bool) error {
	next := *one
	next.Told, next.Making, next.Fails = true, at.of.Making, 0
	switch {
	case next.Phase == Write:
		next.Phase, next.Due = Verify, time.Now().Add(firstCheck+w.use.Random.Below(firstCheck))
		if next.Report != nil {
			status := *next.Report
			if status.Target != "" {
				status.Target += fmt.Sprintf("#note_%d", at.id)
				next.Link = status.Target
			}
			if err := w.use.Reports.Enqueue(status); err != nil {
				return err
			}
		}
	case there:
		if next.Left--; next.Left <= 0 {
			return w.rest(&next)
		}
		next.Due = time.Now().Add(lastCheck + w.use.Random.Below(firstCheck))
	default: // another node had overwritten it
		if next.Tries++; next.Tries >= mostTries {
			w.use.Log.Warn("the plan does not stay in the note on the merge request", "number", one.Number)
			return w.rest(&next)
		}
		next.Left = 2 // a node that read the note before may overwrite it again
		next.Due = backoff.Wait{Tries: next.Tries + 1}.After(0, w.use.Random).Until
	}
	return w.save(next, nil)
}

// board is a merge request on which one text is written.
type board struct {
	w     *Worker
	of    Shown
	page  report.PlanPage
	fresh *gitlab.Request

	id     int64 // of the note
	closed bool  // the merge request is not open, so nothing was written
}

// found is a note on the merge request that has the plans of the environment.
type found struct {
	id   int64
	note *report.PlanNote
}

// write makes sure that the note has the text. there says that it had it. Of several notes
// the oldest one counts, and those that this node made besides are removed.
func (b *board) write(ctx context.Context) (there bool, err error) {
	all, err := b.find(ctx)
	if err != nil {
		return false, err
	}
	if len(all) == 0 {
		return false, b.make(ctx)
	}
	first := all[0]
	b.id = first.id
	there = first.note.Has(b.w.use.Node, b.page)
	doubled := false
	for _, other := range all[1:] {
		if other.note.Maker == b.w.use.Node {
			doubled = true
			first.note.Fill(other.note)
		}
	}
	if there && !doubled {
		return true, nil
	}
	if open, err := b.open(ctx); err != nil || !open {
		return false, err
	}
	first.note.Set(b.w.use.Node, b.page)
	if err := b.w.use.Notes.Change(ctx, b.of.Number, first.id, first.note.String()); err != nil {
		return false, err
	}
	for _, other := range all[1:] {
		if other.note.Maker == b.w.use.Node {
			if err := b.w.use.Notes.Remove(ctx, b.of.Number, other.id); err != nil {
				return false, err
			}
		}
	}
	return there, nil
}

// find gives the notes of the environment that are of the token's user, the oldest first:
// another user's is not believed. It ends with the first one, unless this node may have made
// another.
func (b *board) find(ctx context.Context) ([]found, error) {
	self, err := b.w.use.Notes.Self(ctx)
	if err != nil {
		return nil, err
	}
	var all []found
	for one, err := range b.w.use.Notes.Notes(ctx, b.of.Number) {
		if err != nil {
			return nil, err
		}
		if one.Author.ID != self.ID {
			continue
		}
		if note, ok := report.ParsePlanNote(b.w.use.Environment, one.Text); ok {
			all = append(all, found{one.ID, note})
			if !b.of.Making {
				break
			}
		}
	}
	return all, nil
}

// make writes the first note. That it may be there is recorded before. Another node may
// write one at the same time, so the notes are read again.
func (b *board) make(ctx context.Context) error {
	if open, err := b.open(ctx); err != nil || !open {
		return err
	}
	if !b.of.Making {
		b.of.Making = true
		if err := b.w.save(b.of, nil); err != nil {
			return err
		}
	}
	note := report.NewPlanNote(b.w.use.Environment, b.w.use.Node)
	note.Set(b.w.use.Node, b.page)
	made, err := b.w.use.Notes.Write(ctx, b.of.Number, note.String())
	if err != nil {
		return err
	}
	b.id = made.ID
	return b.unite(ctx)
}

// unite moves the text to the oldest note, after this node has made one.
func (b *board) unite(ctx context.Context) error {
	all, err := b.find(ctx)
	if err != nil || len(all) == 0 || all[0].id == b.id {
		return err
	}
	_, err = b.write(ctx)
	return err
}

// open reports whether the merge request is still to be written on. After the merge that is
// so only for the comparison.
func (b *board) open(ctx context.Context) (bool, error) {
	if b.of.After {
		return true, nil
	}
	if b.fresh == nil {
		now, err := b.w.use.Requests.Find(ctx, b.of.Number)
		if err != nil {
			return false, err
		}
		b.fresh = &now
	}
	b.closed = b.fresh.State != gitlab.Opened || b.fresh.Target != b.w.use.Branch
	return !b.closed, nil
}
