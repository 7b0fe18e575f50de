package preview

import (
	"context"
	"sync"
)

// turns has a plan and the loop take turns. The loop comes first.
type turns struct {
	mu    sync.Mutex
	held  int
	stop  context.CancelFunc // of the plan that is made; nil for none
	ended chan struct{}      // closed when it has ended
}

// hold ends the plan that is made, and lets none begin until release is called.
func (t *turns) hold() (release func() (free bool)) {
	t.mu.Lock()
	t.held++
	stop, ended := t.stop, t.ended
	t.mu.Unlock()
	if stop != nil {
		stop()
		<-ended
	}
	return func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.held--
		return t.held == 0
	}
}

// take makes a plan, whose context ends when the loop wants to work. It gives false if the
// loop works now, or has ended the plan.
func (t *turns) take(ctx context.Context, plan func(context.Context)) bool {
	t.mu.Lock()
	if t.held > 0 {
		t.mu.Unlock()
		return false
	}
	limited, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	t.stop, t.ended = stop, ended
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		stop()
		t.stop = nil
		close(ended)
	}()
	plan(limited)
	return limited.Err() == nil
}
