package agent

import (
	"context"
	"slices"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/record"
)

// joint is one look that users asked for. Users who ask before it begins share it and its
// outcome, so that requests do not queue one behind another.
type joint struct {
	why   cause
	begun chan struct{} // closed when the loop begins
	done  chan struct{} // closed when it has ended, with result set

	mu     sync.Mutex
	users  []*listener
	before sync.WaitGroup // users who still see the progress of what the loop does before
	result outcome
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

// askSync makes the loop look for a user, and waits for the outcome. Until that look
// begins, progress gets the progress of the loop's current work.
func (a *Agent) askSync(ctx context.Context, why cause, progress func(string)) outcome {
	one, me := a.join(why, progress)
	defer a.leave(one, me)
	select {
	case <-one.done:
		return one.result
	case <-a.ended:
		return outcome{err: context.Canceled}
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	}
}

// join adds a user to the next look, or asks for one. A look that overrides a freeze is
// not shared.
func (a *Agent) join(why cause, progress func(string)) (*joint, *listener) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var one *joint
	if i := slices.IndexFunc(a.joints, func(j *joint) bool { return why.override == nil && j.why.override == nil }); i >= 0 {
		one = a.joints[i]
	} else {
		one = &joint{why: why, begun: make(chan struct{}), done: make(chan struct{})}
		a.joints = append(a.joints, one)
	}
	me := &listener{progress: progress}
	one.mu.Lock()
	one.users = append(one.users, me)
	one.mu.Unlock()
	one.before.Go(func() { a.progressUntil(one.begun, a.ended, progress) })
	select {
	case a.asked <- struct{}{}:
	default: // the loop has been asked already
	}
	return one, me
}

// leave removes a user from a joint look. A look that has not begun is dropped when no
// user waits for it any more.
func (a *Agent) leave(one *joint, me *listener) {
	a.mu.Lock()
	defer a.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	one.users = slices.DeleteFunc(one.users, func(l *listener) bool { return l == me })
	if i := slices.Index(a.joints, one); i >= 0 && len(one.users) == 0 {
		a.joints = slices.Delete(a.joints, i, i+1)
		close(one.begun) // ends the progress of earlier work
	}
}

// takeJoint gives the next look that users asked for as a job, nil when there is none.
func (a *Agent) takeJoint() *job {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.joints) == 0 {
		return nil
	}
	one := a.joints[0]
	a.joints = a.joints[1:]
	if len(a.joints) > 0 {
		select {
		case a.asked <- struct{}{}:
		default:
		}
	}
	return &job{look: true, done: make(chan outcome, 1), do: func(ctx context.Context) outcome {
		close(one.begun)
		one.before.Wait()
		one.result = a.lookOn(ctx, one.why, one.showProgress)
		close(one.done)
		return one.result
	}}
}

// progressUntil passes on the progress of the loop, whenever it changes, until one of the
// two channels is closed.
func (a *Agent) progressUntil(begun, ended <-chan struct{}, tell func(string)) {
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	shown := ""
	for {
		select {
		case <-begun:
			return
		case <-ended:
			return
		case <-tick.C:
		}
		if text := a.snapshot().progress; text != "" && text != shown {
			shown = text
			tell(text)
		}
	}
}

// runFor gives the function that makes the loop look for a user.
func (a *Agent) runFor(why cause) func(context.Context, func(string)) (*record.Sync, error) {
	return func(ctx context.Context, progress func(string)) (*record.Sync, error) {
		done := a.askSync(ctx, why, progress)
		return done.sync, done.err
	}
}
