package agent

import (
	"context"
	"slices"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/rollout"
)

// queue holds the looks that users asked for and that have not begun.
type queue struct {
	asked chan struct{}   // there is one
	ended <-chan struct{} // closed when the loop has ended

	mu     sync.Mutex
	joints []*joint
}

// joint is one look at a stack that users asked for. Users who ask before it begins share
// it and its outcome, so that requests do not queue one behind another.
type joint struct {
	stack *stack
	why   rollout.Cause
	begun chan struct{} // closed when the loop begins
	done  chan struct{} // closed when it has ended, with result set

	mu     sync.Mutex
	users  []*listener
	before sync.WaitGroup // users who still see the progress of what the loop does before
	result rollout.Outcome
}

// listener is a user who waits for a joint look.
type listener struct{ progress func(string) }

// showProgress passes progress to the users who still wait.
func (j *joint) showProgress(text string) {
	j.mu.Lock()
	users := slices.Clone(j.users)
	j.mu.Unlock()
	for _, user := range users {
		user.progress(text)
	}
}

// look makes the loop look at a stack for a user, and waits for the outcome. Until that
// look begins, progress gets the progress of the loop's current work at the stack.
func (q *queue) look(ctx context.Context, s *stack, why rollout.Cause, progress func(string)) rollout.Outcome {
	one, me := q.join(s, why, progress)
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
func (q *queue) join(s *stack, why rollout.Cause, progress func(string)) (*joint, *listener) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var one *joint
	alone := func(one rollout.Cause) bool { return one.Override != nil || one.To != "" }
	shared := func(j *joint) bool { return j.stack == s && !alone(why) && !alone(j.why) }
	if i := slices.IndexFunc(q.joints, shared); i >= 0 {
		one = q.joints[i]
	} else {
		one = &joint{stack: s, why: why, begun: make(chan struct{}), done: make(chan struct{})}
		q.joints = append(q.joints, one)
	}
	me := &listener{progress: progress}
	one.mu.Lock()
	one.users = append(one.users, me)
	one.mu.Unlock()
	one.before.Go(func() { q.progressUntil(one, progress) })
	signal(q.asked)
	return one, me
}

// leave removes a user from a joint look. A look that has not begun is dropped when no
// user waits for it any more.
func (q *queue) leave(one *joint, me *listener) {
	q.mu.Lock()
	defer q.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	one.users = slices.DeleteFunc(one.users, func(l *listener) bool { return l == me })
	if i := slices.Index(q.joints, one); i >= 0 && len(one.users) == 0 {
		q.joints = slices.Delete(q.joints, i, i+1)
		close(one.begun) // ends the progress of earlier work
	}
}

// take gives the next look that users asked for, nil when there is none.
func (q *queue) take() *joint {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.joints) == 0 {
		return nil
	}
	one := q.joints[0]
	if q.joints = q.joints[1:]; len(q.joints) > 0 {
		signal(q.asked)
	}
	return one
}

// progressUntil passes on the progress of the loop, whenever it changes, until the look
// begins or the loop ends.
func (q *queue) progressUntil(one *joint, tell func(string)) {
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
		if text := one.stack.board.Snapshot().Progress; text != "" && text != shown {
			shown = text
			tell(text)
		}
	}
}
