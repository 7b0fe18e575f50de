package preview

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
)

const (
	longestRest = time.Hour
	// firstCheck and lastCheck are when a text is looked for again after it was written. A
	// node that read the note before may overwrite it until then.
	firstCheck = 4 * time.Second
	lastCheck  = time.Minute
	maxDeaths  = 2  // over a merge request, before it is not read again
	mostPlans  = 5  // plans of a commit that fail, before the note says that there is none
	mostTries  = 10 // texts that are overwritten, before the node gives up
	mostFails  = 48 // steps of one merge request, before the node gives up: some minutes, then hours
	// kept is how long what was shown on a merge request that is no longer open is kept for
	// the comparison, and mostKept for how many.
	kept     = 30 * 24 * time.Hour
	mostKept = 500
)

// Worker shows the plans of merge requests.
type Worker struct {
	use   Options
	turns turns
	wake  backoff.Bell

	relist atomic.Bool // the merge requests are to be listed

	// Only Run uses these.
	shown     map[int64]*Shown
	mark      Mark
	undecided *record.Sync // the last sync when one was not over that is to be compared
	queue     []wanted     // heads without a plan, the newest first
	tally     tally        // of approvals
	listed    uint64       // the heads when the merge requests were listed last
	wait      backoff.Wait // of GitLab, git or the engine
	recalled  bool
	failing   string // the last error that was logged
}

// New makes a Worker.
func New(o Options) *Worker {
	return &Worker{use: o, wake: backoff.NewBell(), shown: map[int64]*Shown{}, tally: newTally()}
}

// Look says that branches may have moved, or that a sync may be over. It does not wait.
func (w *Worker) Look() { w.wake.Ring() }

// Relist says that a merge request was opened again, goes into another branch, or has other
// approvals: no branch has moved. It does not wait.
func (w *Worker) Relist() {
	w.relist.Store(true)
	w.wake.Ring()
}

// Hold ends the plan that is being made, until release is called: a rollout comes first.
func (w *Worker) Hold() (release func()) {
	free := w.turns.hold()
	return func() {
		if free() {
			w.wake.Ring()
		}
	}
}

// Run works until ctx ends, and returns ctx's error.
func (w *Worker) Run(ctx context.Context) error { return w.wake.Loop(ctx, w.step) }

// step does one thing, and gives the time until the next one.
func (w *Worker) step(ctx context.Context) time.Duration {
	if left := time.Until(w.wait.Until); left > 0 {
		return left
	}
	rest, err := w.next(ctx)
	switch {
	case ctx.Err() != nil:
		return 0
	case err != nil:
		failed(w, err)
		return time.Until(w.wait.Until)
	}
	if rest == 0 {
		w.wait, w.failing = backoff.Wait{}, ""
	}
	return rest
}

// failed puts all work off.
func failed(w *Worker, err error) {
	asked, _ := askedToWait(err)
	w.wait = w.wait.After(asked, w.use.Random)
	if text := err.Error(); text != w.failing {
		w.failing = text
		w.use.Log.Warn("cannot show plans on merge requests", "next", w.wait.Until, "error", err, "hint", fault.Hint(err))
	}
}

// askedToWait gives the wait that an error of GitLab asks for, and whether it refuses the token.
func askedToWait(err error) (asked time.Duration, refused bool) {
	asked = gitlab.AskedToWait(err)
	if of, ok := errors.AsType[*gitlab.Error](err); ok && of.Kind == gitlab.KindAuth {
		return max(asked, time.Minute), true
	}
	return asked, false
}

// next does the most urgent thing: it gives 0 if there may be more to do.
func (w *Worker) next(ctx context.Context) (time.Duration, error) {
	if !w.recalled {
		if err := w.recall(); err != nil {
			return 0, err
		}
	}
	heads := w.use.Heads()
	if relist := w.relist.Swap(false); relist || heads != w.listed || w.tally.polls() {
		err := w.list(ctx, heads)
		switch {
		case err != nil:
			w.relist.Store(true)
		case relist && w.tally.every > 0:
			w.tally.after(afterHook, w.use.Random)
		}
		return 0, err
	}
	if more, err := w.compare(ctx); more || err != nil {
		return 0, err
	}
	if more, err := count(ctx, w); more || err != nil {
		return 0, err
	}
	first := firstDue(w)
	if first != nil && !first.Due.After(time.Now()) {
		return 0, w.show(ctx, first, nil)
	}
	at, rest := w.ready()
	if at >= 0 {
		done, err := w.plan(ctx, at)
		if done || err != nil {
			return 0, err
		}
		return longestRest, nil // the loop works, and rings when it has ended
	}
	if first != nil {
		rest = min(rest, time.Until(first.Due))
	}
	return min(rest, w.tally.rest()), nil
}

// recall reads what is on record. A merge request that the process died over is not read again.
func (w *Worker) recall() error {
	book, err := w.use.Store.Previews()
	if err != nil {
		return err
	}
	w.mark = book.Mark
	for _, one := range book.Shown {
		w.shown[one.Number] = &one
	}
	if died := w.mark; died.Reading {
		w.use.Log.Warn("the agent ended while it read a merge request", "number", died.Number, "revision", died.Head, "times", died.Deaths+1)
		if died.Deaths+1 >= maxDeaths {
			if err := w.refuseDeath(died); err != nil {
				return err
			}
		}
		if err := w.saveMark(func(m *Mark) { m.Reading = false; m.Deaths++ }); err != nil {
			return err
		}
	}
	w.recalled = true
	return nil
}

// begin records that a merge request is read next, and end that it was read.
func (w *Worker) begin(of gitlab.Request) error {
	return w.saveMark(func(m *Mark) {
		if m.Head != of.Head {
			m.Deaths = 0
		}
		m.Reading, m.Number, m.Head = true, of.Number, of.Head
	})
}

func (w *Worker) end() error { return w.saveMark(func(m *Mark) { m.Reading = false }) }

func (w *Worker) saveMark(change func(*Mark)) error {
	changed := w.mark
	change(&changed)
	if changed == w.mark {
		return nil
	}
	if err := w.use.Store.SavePreviewMark(changed); err != nil {
		return err
	}
	w.mark = changed
	return nil
}

// save records what is shown, before anything is done with it.
func (w *Worker) save(one Shown, text *Text) error {
	one.Updated = time.Now().UTC()
	if err := w.use.Store.SavePreview(one, text); err != nil {
		return err
	}
	w.shown[one.Number] = &one
	return nil
}

// firstDue gives what is due first; nil if nothing is.
func firstDue(w *Worker) *Shown {
	var first *Shown
	for _, number := range slices.Sorted(maps.Keys(w.shown)) {
		if one := w.shown[number]; one.Phase != "" && (first == nil || one.Due.Before(first.Due)) {
			first = one
		}
	}
	return first
}

// list reads the open merge requests, and queues those with a head that was not looked at.
func (w *Worker) list(ctx context.Context, heads uint64) error {
	open, err := w.use.Requests.Open(ctx, w.use.Branch)
	if err != nil {
		return err
	}
	w.enqueue(open)
	w.listed = heads
	noteChanges(w, open)
	if len(open) == gitlab.MostOpen {
		return nil // there may be others
	}
	numbers := map[int64]bool{}
	for _, one := range open {
		numbers[one.Number] = true
	}
	return forget(w, numbers)
}

// forget drops what is on record of merge requests that are no longer open, that nothing
// is to be compared with, and on which nothing is to be written.
func forget(w *Worker, open map[int64]bool) error {
	var closed []*Shown
	for _, one := range w.shown {
		if !open[one.Number] {
			closed = append(closed, one)
		}
	}
	slices.SortFunc(closed, func(a, b *Shown) int { return cmp.Or(b.Updated.Compare(a.Updated), cmp.Compare(a.Number, b.Number)) })
	for i, one := range closed {
		if one.Phase != "" {
			continue // a text is still to be written, such as the comparison
		}
		if i < mostKept && one.Plan != "" && time.Since(one.Updated) < kept {
			continue
		}
		if err := w.use.Store.DropPreview(one.Number); err != nil {
			return err
		}
		delete(w.shown, one.Number)
	}
	return nil
}

// gone reports whether GitLab says that a merge request or note is not there.
func gone(err error) bool {
	refused, ok := errors.AsType[*gitlab.Error](err)
	return ok && refused.Status == http.StatusNotFound && refused.Kind == gitlab.KindPermanent
}
