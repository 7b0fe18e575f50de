package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// awaitWave waits until the services in the waves before a wave are what they declare. A
// rollback does not wait: it runs no job, and a failed service must not delay it.
func (r *reconcile) awaitWave(ctx context.Context, wave deploy.Wave) error {
	if r.rollback != nil {
		return nil
	}
	return r.unlessSuperseded(ctx, func(ctx context.Context) error {
		result, err := r.follow(ctx, wave.Stack, fmt.Sprintf("before wave %d: ", wave.Number))
		if err != nil {
			return err
		}
		r.update(func(v *view) { v.rollout = nil })
		return wave.Err(result)
	})
}

// errStopped ends a sync because a user requests a rollback.
var errStopped = fault.New(fault.Place{}, "`agent status` shows the rollback", "stopped: a rollback was requested")

// unlessSuperseded waits until the wait ends, a newer commit concerns this node, or a
// user requests a rollback: neither has to wait for a rollout that it replaces.
func (r *reconcile) unlessSuperseded(ctx context.Context, wait func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watchers sync.WaitGroup
	watchers.Go(func() { r.watchRemote(ctx, cancel) })
	watchers.Go(func() {
		select {
		case <-ctx.Done():
		case <-r.stops:
			cancel(errStopped)
		}
	})
	err := wait(ctx)
	cause := context.Cause(ctx)
	cancel(nil)
	watchers.Wait() // neither outlives the attempt
	if err != nil && (errors.Is(cause, errSuperseded) || errors.Is(cause, errStopped)) {
		return cause
	}
	return err
}

// follow waits for the services of a stack. If config.yml disables the health check, it
// still waits for jobs: their exit code is not a health check.
func (r *reconcile) follow(ctx context.Context, stack *compose.Stack, before string) (deploy.Result, error) {
	begun, err := r.begun() // includes what was written before an interruption
	if err != nil {
		return deploy.Result{}, err
	}
	var timeout time.Duration // deploy's default if there is no config.yml
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
			r.showProgress(before + report.WaitingText(result))
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

// begun gives the plan that the sync began with: after a restart r.plan has only the rest
// of it.
func (r *reconcile) begun() (deploy.RecordedPlan, error) {
	var plan deploy.RecordedPlan
	if err := json.Unmarshal(r.attempt.Plan, &plan); err != nil {
		return plan, fmt.Errorf("read the recorded plan: %w", err)
	}
	return plan, nil
}

// rerun makes services run again that have failed for good: this is a new rollout. A
// continued sync runs only those again that it began with.
func (r *reconcile) rerun(ctx context.Context, live *deploy.Live) error {
	if r.attempt.Wrote {
		begun, err := r.begun()
		if err != nil {
			return err
		}
		r.stack = begun.WithReruns(r.stack)
		return nil
	}
	stack, err := r.Engine.Rerun(ctx, live.LiveServices(), r.stack)
	if err != nil {
		return environmentError{err}
	}
	r.stack = stack
	return nil
}
