package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// awaitWave waits until what stands in the waves before one is what it declares. On
// the way back no job runs, and one that has failed holds nothing up.
func (r *reconcile) awaitWave(ctx context.Context, wave deploy.Wave) error {
	if r.back != nil {
		return nil
	}
	return r.unlessOvertaken(ctx, func(ctx context.Context) error {
		result, err := r.follow(ctx, wave.Stack, fmt.Sprintf("before wave %d: ", wave.Number))
		if err != nil {
			return err
		}
		r.update(func(v *view) { v.rollout = nil })
		return wave.Err(result)
	})
}

// errStopped ends a sync that makes way for a rollback by hand.
var errStopped = fault.New(fault.Place{}, "`agent status` shows what became of it", "somebody rolls back meanwhile")

// unlessOvertaken waits, or until a newer commit concerns this node, or a person wants
// to go back: neither must wait for what it mends.
func (r *reconcile) unlessOvertaken(ctx context.Context, wait func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go r.watchRemote(ctx, cancel)
	go func() {
		select {
		case <-ctx.Done():
		case <-r.stops:
			cancel(errStopped)
		}
	}()
	err := wait(ctx)
	if cause := context.Cause(ctx); err != nil && (errors.Is(cause, errOvertaken) || errors.Is(cause, errStopped)) {
		return cause
	}
	return err
}

// follow waits for the services of a stack. Where config.yml has nobody wait for
// services, jobs are waited for all the same: their exit code is no health check.
func (r *reconcile) follow(ctx context.Context, stack *compose.Stack, before string) (deploy.Result, error) {
	begun, err := r.begun() // what was written before an interruption is no history
	if err != nil {
		return deploy.Result{}, err
	}
	var timeout time.Duration // deploy's own, where there is no config.yml to ask
	if r.node != nil {
		timeout = r.node.Config.HealthTimeout()
	}
	if r.node != nil && !r.node.Config.Deployment.HealthCheck.Enabled {
		stack = deploy.Only(stack, slices.DeleteFunc(deploy.OneShots(stack), func(name string) bool { return deploy.Idle(stack.Services[name]) }))
		if len(stack.Services) == 0 {
			return deploy.Result{}, nil
		}
	}
	started := time.Now()
	longest := timeout
	for _, spec := range stack.Services {
		longest = max(longest, compose.Timeout(spec.Labels))
	}
	r.step("the wait for services", longest+stepLimit)
	result, err := r.Engine.Verify(ctx, stack, deploy.VerifyOptions{
		Timeout: timeout,
		Changed: begun.Changed(),
		Progress: func(result deploy.Result) {
			r.update(func(v *view) { v.rollout = &report.Rollout{Started: started, Services: result.Services} })
			r.show(before + report.WaitingText(result))
		},
	})
	if data, jsonErr := json.Marshal(result.Services); jsonErr == nil {
		r.attempt.Services = data
	}
	if err != nil {
		return result, environmentError{err}
	}
	return result, nil
}

// begun is the plan that the sync began with: after a restart r.plan is only what is
// left of it.
func (r *reconcile) begun() (deploy.RecordedPlan, error) {
	var plan deploy.RecordedPlan
	if err := json.Unmarshal(r.attempt.Plan, &plan); err != nil {
		return plan, fmt.Errorf("read the recorded plan: %w", err)
	}
	return plan, nil
}

// rerun has services run again that have failed for good as they are: this is a rollout
// anew. One that is carried on runs those again that it began with, and no others.
func (r *reconcile) rerun(ctx context.Context, live *deploy.Live) error {
	if r.attempt.Wrote {
		begun, err := r.begun()
		if err != nil {
			return err
		}
		r.stack = begun.WithReruns(r.stack)
		return nil
	}
	stack, err := r.Engine.Rerun(ctx, &live.LiveServices, r.stack)
	if err != nil {
		return environmentError{err}
	}
	r.stack = stack
	return nil
}
