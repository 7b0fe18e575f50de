package services

import (
	"context"
	"time"

	"coin.internal/coin-agent/agent/drift"
)

// tasks are the tasks of the Swarm that the stacks run on.
type tasks interface {
	FollowDeaths(ctx context.Context, died func(stack string))
}

// deathsTogether is how long the agent waits for further deaths of containers before it
// looks at the services.
const deathsTogether = 3 * time.Second

// Lookout reads the services of the stacks between the looks.
type Lookout struct {
	Stacks func() []*Watch
	Tasks  tasks // nil: health is judged by the numbers of tasks
	Live   *drift.Shared
	Deaths chan struct{} // signals that containers have died; it holds one signal
}

// Follow has the loop look at the services of a stack when one of its containers has
// died. It ends with ctx.
func (l *Lookout) Follow(ctx context.Context) {
	if l.Tasks == nil {
		return
	}
	l.Tasks.FollowDeaths(ctx, func(name string) {
		for _, w := range l.Stacks() {
			if w.Board.Snapshot().Stack() != name || !w.Health.Died() {
				continue
			}
			time.AfterFunc(deathsTogether, l.signal)
		}
	})
}

// LookAtDeaths reads the services of the stacks whose containers have died.
func (l *Lookout) LookAtDeaths(ctx context.Context) {
	for _, w := range l.Stacks() {
		if w.Health.Pending() {
			w.glance(ctx)
		}
	}
}

// CatchUp looks at the services of the stacks that work at another one kept the agent from.
func (l *Lookout) CatchUp(ctx context.Context) {
	for _, w := range l.Stacks() {
		v := w.Board.Snapshot()
		if v.Unread == nil && w.Sight.Unknown(v, time.Now()) != nil {
			w.glance(ctx)
		}
	}
}

// Peek reads the services between two looks that are far apart after failures. It reports
// whether an engine answers that did not: then the next look is due.
func (l *Lookout) Peek(ctx context.Context) (answers bool) {
	l.Live.Begin()
	defer l.Live.End()
	for _, w := range l.Stacks() {
		before := w.Board.Snapshot().Unread
		if _, err := w.Look(ctx); before != nil && err == nil {
			answers = true
		}
	}
	return answers
}

// signal signals that containers have died, unless that is signalled already.
func (l *Lookout) signal() {
	select {
	case l.Deaths <- struct{}{}:
	default:
	}
}

// glance reads the services, and logs why it cannot.
func (w *Watch) glance(ctx context.Context) {
	if _, err := w.Look(ctx); err != nil && ctx.Err() == nil {
		w.Log.Warn("cannot look at the services", "error", err)
	}
}
