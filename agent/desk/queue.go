package desk

import (
	"context"
	"slices"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/rollout"
)

// Queue holds what users ask the loop for, of all stacks, and what has not begun.
type Queue struct {
	jobs  chan *Job
	asked chan struct{}   // there is a look
	ended <-chan struct{} // closed when the loop has ended

	mu    sync.Mutex
	looks []*Look
}

// NewQueue makes the queue of a loop that closes ended at its end.
func NewQueue(ended <-chan struct{}) *Queue {
	return &Queue{jobs: make(chan *Job), asked: make(chan struct{}, 1), ended: ended}
}

// Job is what the loop does for one user.
type Job struct {
	do   func(context.Context) rollout.Outcome
	done chan rollout.Outcome
}

// Run does the job.
func (j *Job) Run(ctx context.Context) { j.done <- j.do(ctx) }

// Jobs gives the jobs that users ask for.
func (q *Queue) Jobs() <-chan *Job { return q.jobs }

// do has the loop do something, and waits for its end. If stops is set, it also asks the
// running rollout to stop.
func (q *Queue) do(ctx context.Context, do func(context.Context) rollout.Outcome, stops chan<- struct{}) rollout.Outcome {
	asked := &Job{do: do, done: make(chan rollout.Outcome, 1)}
	for taken := false; !taken; {
		select {
		case <-ctx.Done():
			return rollout.Outcome{Err: ctx.Err()}
		case <-q.ended:
			return rollout.Outcome{Err: context.Canceled}
		case stops <- struct{}{}:
		case q.jobs <- asked:
			taken = true
		}
	}
	select {
	case <-ctx.Done():
		return rollout.Outcome{Err: ctx.Err()}
	case result := <-asked.done:
		return result
	}
}

// Look is one look at a stack that users asked for. Users who ask before it begins share
// it and its outcome, so that requests do not queue one behind another.
type Look struct {
	desk  *Desk // of the stack
	why   rollout.Cause
	begun chan struct{} // closed when the loop begins
	done  chan struct{} // closed when it has ended, with result set

	mu     sync.Mutex
	users  []*listener
	before sync.WaitGroup // users who still see the progress of what the loop does before
	result rollout.Outcome
}

// Run makes the look.
func (l *Look) Run(ctx context.Context) {
	close(l.begun)
	l.before.Wait()
	l.result = l.desk.parts.Loop.Look(ctx, l.why, l.showProgress)
	close(l.done)
}

// listener is a user who waits for a shared look.
type listener struct{ progress func(string) }

// showProgress passes progress to the users who still wait.
func (l *Look) showProgress(text string) {
	l.mu.Lock()
	users := slices.Clone(l.users)
	l.mu.Unlock()
	for _, user := range users {
		user.progress(text)
	}
}

// look makes the loop look at a stack for a user, and waits for the outcome. Until that
// look begins, progress gets the progress of the loop's current work at the stack.
func (q *Queue) look(ctx context.Context, d *Desk, why rollout.Cause, progress func(string)) rollout.Outcome {
	one, me := q.join(d, why, progress)
	defer q.leave(one, me)
	select {
	case <-one.done:
		return one.result
	case <-q.ended:
		return rollout.Outcome{Err: context.Canceled}
	case <-ctx.Done():
		return rollout.Outcome{Err: ctx.Err()}
	}
}

// join adds a user to the next look at a stack, or asks for one. A look that overrides a
// freeze, or is for a tag, is not shared.
func (q *Queue) join(d *Desk, why rollout.Cause, progress func(string)) (*Look, *listener) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var one *Look
	alone := func(one rollout.Cause) bool { return one.Override != nil || one.To != "" }
	shared := func(l *Look) bool { return l.desk == d && !alone(why) && !alone(l.why) }
	if i := slices.IndexFunc(q.looks, shared); i >= 0 {
		one = q.looks[i]
	} else {
		one = &Look{desk: d, why: why, begun: make(chan struct{}), done: make(chan struct{})}
		q.looks = append(q.looks, one)
	}
	me := &listener{progress: progress}
	one.mu.Lock()
	one.users = append(one.users, me)
	one.mu.Unlock()
	one.before.Go(func() { q.progressUntil(one, progress) })
	q.signal()
	return one, me
}

// leave removes a user from a look. A look that has not begun is dropped when no
// user waits for it any more.
func (q *Queue) leave(one *Look, me *listener) {
	q.mu.Lock()
	defer q.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	one.users = slices.DeleteFunc(one.users, func(l *listener) bool { return l == me })
	if i := slices.Index(q.looks, one); i >= 0 && len(one.users) == 0 {
		q.looks = slices.Delete(q.looks, i, i+1)
		close(one.begun) // ends the progress of earlier work
	}
}

// Asked says that users asked for a look.
func (q *Queue) Asked() <-chan struct{} { return q.asked }

// Take gives the next look that users asked for, nil when there is none.
func (q *Queue) Take() *Look {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.looks) == 0 {
		return nil
	}
	one := q.looks[0]
	if q.looks = q.looks[1:]; len(q.looks) > 0 {
		q.signal()
	}
	return one
}

// signal has the loop take a look.
func (q *Queue) signal() {
	select {
	case q.asked <- struct{}{}:
	default:
	}
}

// progressUntil passes on the progress of the loop, whenever it changes, until the look
// begins or the loop ends.
func (q *Queue) progressUntil(one *Look, tell func(string)) {
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	shown := ""
	for {
		select {
		case <-one.begun:
			return
		case <-q.ended:
			return
		case <-tick.C:
		}
		if text := one.desk.parts.Board.Snapshot().Progress; text != "" && text != shown {
			shown = text
			tell(text)
		}
	}
}
