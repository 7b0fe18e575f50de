package rollout

import (
	"context"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/apart"
)

// early is an Engine that can be asked for a stack's live objects before the stack is rendered.
type early interface {
	Ahead(ctx context.Context, stackName string) *deploy.Ahead
}

// ahead is what a rollout asks the engine while it renders the stack, on which the answers do not
// depend.
type ahead struct {
	live  *deploy.Ahead               // that the plan compares with
	ready func() (deploy.Info, error) // for the release gate; nil if it is not asked, or was taken
	stop  context.CancelFunc
}

// askAhead begins to ask. The stages after this one wait for the answers.
func askAhead(ctx context.Context, a *attempt) {
	engine, can := a.use.Engine.(early)
	if !can {
		return
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // until end
	a.ahead = &ahead{live: engine.Ahead(ctx, a.desired.Node.Stack), stop: stop}
	if probe := a.use.Probe; probe != nil {
		a.ahead.ready = apart.Begin(func() (deploy.Info, error) { return probe.Ready(ctx) })
	}
}

// end ends what is asked. Nothing of it outlives the attempt.
func (h *ahead) end() {
	if h == nil {
		return
	}
	h.stop()
	h.live.Stop()
	if h.ready != nil {
		_, _ = h.ready()
	}
}

// takeReady gives the function that waits for the answer to the release gate, once: a later
// question is a new one.
func (h *ahead) takeReady(ctx context.Context) func() (deploy.Info, error) {
	if h == nil || h.ready == nil {
		return nil
	}
	ready := h.ready
	h.ready = nil
	return func() (deploy.Info, error) {
		defer context.AfterFunc(ctx, h.stop)()
		return ready()
	}
}

// observe gives the live objects that the plan compares with.
func (a *attempt) observe(ctx context.Context) (*deploy.Live, error) {
	if a.ahead == nil {
		return a.use.Engine.Observe(ctx, a.stack)
	}
	return a.ahead.live.Observe(ctx, a.stack)
}
