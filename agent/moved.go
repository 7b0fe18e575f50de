package agent

import (
	"context"
	"time"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// movedEvery is how often an agent that has nothing to do asks the registries
// whether a tag moved, where config.yml says images.resolve: always.
const movedEvery = 10 * time.Minute

// expected gives the stack that the live services are compared with: what was applied,
// with the digests that its tags had when the registries were last asked.
func (a *Agent) expected(ctx context.Context, live *deploy.LiveServices, v view) (*compose.Stack, error) {
	stack, err := appliedStack(v.deployed)
	if err != nil || stack.Resolve != compose.ResolveAlways {
		return stack, err
	}
	asked := v.asked
	if asked.IsZero() {
		asked = v.started
	}
	if time.Since(asked) < movedEvery {
		if v.moved != nil {
			return v.moved, nil
		}
		return stack, nil
	}
	moved, warnings, err := a.Engine.Resolve(ctx, live, deploy.Unresolved(stack))
	if err != nil {
		a.Log.Warn("cannot ask whether tags moved", "stack", stack.Name, "error", err.Error())
		moved = v.moved
	}
	for _, warning := range warnings {
		a.Log.Warn("cannot ask whether a tag moved", "stack", stack.Name, "reason", warning)
	}
	a.update(func(v *view) { v.moved, v.asked = moved, time.Now() })
	if moved == nil {
		return stack, nil
	}
	return moved, nil
}
