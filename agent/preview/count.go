package preview

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
)

// firstPoll is when the merge requests are listed again after a count of approvals was shown.
// Each time after it is twice as long, up to longestRest: no ref moves with an approval, and
// not every project has a hook.
const firstPoll = 5 * time.Minute

// afterHook is when they are listed again after a hook: GitLab notes an approval on the merge
// request, which makes that a changed one, by another job than the one that sends the hook.
const afterHook = 30 * time.Second

// tally is the counting of approvals. Only Run uses it.
type tally struct {
	due   map[int64]gitlab.Request // whose approvals are to be counted
	wait  backoff.Wait             // after GitLab did not tell them
	poll  time.Time                // when the merge requests are listed; zero if no text has a count
	every time.Duration            // between the last list and that; 0 if no text has a count
}

func newTally() tally { return tally{due: map[int64]gitlab.Request{}} }

// polls reports whether the merge requests are to be listed now.
func (t *tally) polls() bool { return !t.poll.IsZero() && !t.poll.After(time.Now()) }

// rest gives the time until the next list or count.
func (t *tally) rest() time.Duration {
	rest := longestRest
	if !t.poll.IsZero() {
		rest = min(rest, time.Until(t.poll))
	}
	if len(t.due) > 0 {
		rest = min(rest, time.Until(t.wait.Until))
	}
	return max(rest, 0)
}

// after sets when the merge requests are listed next.
func (t *tally) after(every time.Duration, random backoff.Random) {
	t.every = min(every, longestRest)
	t.poll = time.Now().Add(t.every - random.Below(t.every/10))
}

// noteChanges notes of which open merge requests the approvals are to be counted: of those that
// changed since.
func noteChanges(w *Worker, open []gitlab.Request) {
	counts := false
	w.tally.due = map[int64]gitlab.Request{}
	for _, of := range open {
		one := w.shown[of.Number]
		if one == nil || !one.Counts || one.Of != of.Head {
			continue
		}
		counts = true
		if !one.Counted.Equal(of.Updated) {
			w.tally.due[of.Number] = of
		}
	}
	if !counts {
		w.tally.poll, w.tally.every = time.Time{}, 0
		return
	}
	w.tally.after(max(2*w.tally.every, firstPoll), w.use.Random)
}

// count counts the approvals of the first merge request that is due. It reports whether there
// was one.
func count(ctx context.Context, w *Worker) (bool, error) {
	if len(w.tally.due) == 0 || time.Until(w.tally.wait.Until) > 0 {
		return false, nil
	}
	number := slices.Min(slices.Collect(maps.Keys(w.tally.due)))
	of, one := w.tally.due[number], w.shown[number]
	if one == nil || !one.Counts || one.Of != of.Head {
		delete(w.tally.due, number)
		return true, nil
	}
	text, err := w.use.Store.PreviewText(number)
	if err != nil {
		return false, err
	}
	next, before := *one, text.Count
	if err := countInto(ctx, w, of, &next, &text); err != nil {
		return false, err
	}
	switch {
	case next == *one && text.Count == before:
		return true, nil
	case text.Count == before:
		return true, w.save(next, nil)
	}
	next.Phase, next.Due, next.Left, next.Tries = Write, time.Now(), 2, 0
	w.tally.after(firstPoll, w.use.Random)
	return true, w.save(next, &text)
}

// firstCount counts the approvals of a merge request whose plan was just made.
func firstCount(ctx context.Context, w *Worker, made *sight, one *Shown, text *Text) error {
	if len(made.needs) == 0 {
		return nil
	}
	one.Counts, text.Demands = true, made.needs
	w.tally.after(firstPoll, w.use.Random)
	return countInto(ctx, w, made.of, one, text)
}

// countInto asks GitLab for the approvals of a merge request, and writes the count into the
// text. After failures that may pass, the last count stays for a while, with its time; then the
// text says that it is not known. An error is the end of ctx.
func countInto(ctx context.Context, w *Worker, of gitlab.Request, one *Shown, text *Text) error {
	limited, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	approvals, err := w.use.Approvals.Approvals(limited, of)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		one.Counted, w.tally.wait = of.Updated, backoff.Wait{}
		delete(w.tally.due, of.Number)
		counted(text, gates.Counted(text.Demands, of, approvals), false)
	case alone(err): // the others do not wait for it; the next list asks again
		delete(w.tally.due, of.Number)
		counted(text, gates.Uncounted(text.Demands, err.Error()), true)
	default:
		w.tally.due[of.Number] = of
		passes := putOffCounts(w, err)
		if text.Count == "" || !passes {
			counted(text, gates.Uncounted(text.Demands, err.Error()), true)
		}
	}
	return nil
}

// counted writes a count into a text, unless the text has it. Of two reasons why it is not known,
// the first one stays.
func counted(text *Text, words string, unknown bool) {
	if words == text.Count || unknown && text.Unknown {
		return
	}
	text.Count, text.Unknown = words, unknown
	text.Page = text.Page.Count(words + report.AsOf(time.Now()))
}

// uncounted gives the page of a text without its count: what it says of approvals is not about
// the commit that the branch ends with.
func uncounted(text Text) report.PlanPage {
	return text.Page.Count(strings.Join(gates.Demanded(text.Demands), "; "))
}

// putOffCounts puts all counts off, because GitLab did not answer one. It reports whether the
// next one may well be answered.
func putOffCounts(w *Worker, err error) (passes bool) {
	asked, refused := askedToWait(err)
	passes = !refused && w.tally.wait.Tries+1 < mostPlans
	w.tally.wait = w.tally.wait.After(asked, w.use.Random)
	if w.tally.wait.Tries == 1 {
		w.use.Log.Warn("cannot count the approvals of merge requests", "next", w.tally.wait.Until, "error", err.Error(), "hint", fault.Hint(err))
	}
	return passes
}
