package preview

import (
	"context"
	"errors"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
)

// wanted is the head of a merge request that has no plan yet, or none that could be made.
type wanted struct {
	of    gitlab.Request
	found bool         // GitLab was asked for it after it was listed
	wait  backoff.Wait // after plans of it that failed
}

// failures counts the plans that failed.
func (o *wanted) failures() int { return o.wait.Tries - firstTries }

// firstTries has the first waits of a head be 4, 8, 16 and 32 s.
const firstTries = 2

// enqueue queues the open merge requests with a head that was not looked at, or that is to be
// looked at again. A head that waits goes on waiting.
func (w *Worker) enqueue(open []gitlab.Request) {
	waiting := map[int64]wanted{}
	for _, one := range w.queue {
		waiting[one.of.Number] = one
	}
	w.queue = nil
	for _, of := range open {
		before := w.shown[of.Number]
		if of.Fork || of.Head == "" || before != nil && before.Head == of.Head && before.Again.IsZero() {
			continue
		}
		one, queued := waiting[of.Number]
		if !queued || one.of.Head != of.Head {
			one = wanted{of: of, wait: backoff.Wait{Tries: firstTries}}
			if before != nil && before.Head == of.Head {
				one.wait = backoff.Wait{Until: before.Again, Tries: firstTries + mostPlans}
			}
		}
		w.queue = append(w.queue, one)
	}
}

// ready gives the place of the first head in the queue that does not wait; -1 if all do, and
// how long the worker may rest then.
func (w *Worker) ready() (at int, rest time.Duration) {
	rest = longestRest
	for i, one := range w.queue {
		left := time.Until(one.wait.Until)
		if left <= 0 {
			return i, 0
		}
		rest = min(rest, left)
	}
	return -1, rest
}

// plan makes the plan of a merge request in the queue, and shows it. It is not done if the
// loop wants to work.
func (w *Worker) plan(ctx context.Context, at int) (done bool, err error) {
	of := w.queue[at]
	var made *sight
	done = w.turns.take(ctx, func(ctx context.Context) { made, err = w.look(ctx, of) })
	if !done {
		return false, nil
	}
	w.queue = slices.Delete(w.queue, at, at+1)
	switch {
	case err != nil:
		w.queue = append(w.queue, of) // after the others
		return true, errors.Join(err, noteStale(w, of.of, err))
	case made.moved != nil:
		w.queue = slices.Insert(w.queue, 0, wanted{of: *made.moved, found: true, wait: backoff.Wait{Tries: firstTries}})
		return true, nil
	case made.over:
		return true, nil // if it is open in a later list, it is looked at
	case made.lost && of.failures() < mostPlans:
		of.wait = of.wait.After(0, w.use.Random)
		w.queue = append(w.queue, of)
		return true, nil
	case made.wrong != nil:
		return true, w.delay(ctx, of, made)
	}
	err = w.settle(ctx, made)
	if one := w.shown[of.of.Number]; one == nil || one.Head != made.of.Head || !one.Again.IsZero() {
		w.queue = append(w.queue, of) // that is not on record
	}
	return true, err
}

// delay puts a head off whose plan failed for a reason that may pass. The others do not wait
// for it. After some failures the note says why there is no plan, and the plan is tried again
// once an hour.
func (w *Worker) delay(ctx context.Context, of wanted, made *sight) error {
	of.of, of.found, of.wait = made.of, true, of.wait.After(0, w.use.Random)
	if of.failures() < mostPlans {
		w.use.Log.Info("cannot make the plan of a merge request", "number", made.of.Number, "revision", record.Short(made.of.Head),
			"next", of.wait.Until, "error", made.wrong)
		w.queue = append(w.queue, of)
		return noteStale(w, of.of, made.wrong)
	}
	made.again = time.Now().Add(longestRest)
	made.page = pageOf(w, made.of, w.use.Last())
	refuse(made.page, "no plan", made.wrong)
	w.use.Log.Warn("there is no plan of a merge request", "number", made.of.Number, "revision", record.Short(made.of.Head),
		"next", made.again, "error", made.wrong, "hint", fault.Hint(made.wrong))
	err := w.settle(ctx, made)
	if one := w.shown[made.of.Number]; one != nil && one.Head == made.of.Head && one.Again.Equal(made.again) {
		of.wait.Until, of.found = made.again, false // it may be closed until then
	}
	w.queue = append(w.queue, of)
	return err
}
