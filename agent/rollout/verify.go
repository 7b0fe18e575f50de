package rollout

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// follower follows the services of an attempt after its writes.
type follower struct{ a *attempt }

// converge waits for the services of the whole stack, and gives them as they were read last; none if
// none were waited for.
func (f follower) converge(ctx context.Context) (deploy.Observed, error) {
	result, err := f.follow(ctx, f.a.stack, "")
	if err != nil {
		return deploy.Observed{}, err
	}
	return result.Observed(), result.Err()
}

// compare compares the services at the end of an attempt, and notes those that do not run what was
// applied: another process changed them during the attempt. Such a state is deployed and drifted, and
// no rollback returns to it unless an earlier attempt verified the same state. observed are the
// services if they were just read; else they are read once more.
func (f follower) compare(ctx context.Context, applied *compose.Stack, observed deploy.Observed) (err error) {
	a := f.a
	if observed.Services == nil {
		if observed.Services, observed.Answer, err = a.use.Engine.ObserveChanged(ctx, applied.Name, deploy.Answer{}); err != nil {
			return fault.Transient(err)
		}
	}
	a.observed = observed
	whole := *applied
	whole.Ignored = a.ignored
	drifted := slices.DeleteFunc(deploy.Drift(deploy.WithoutUnowned(observed.Services, &whole), &whole), func(s deploy.Step) bool { return slices.Contains(a.sync.Leaves, s.Name) })
	if len(drifted) == 0 {
		return nil
	}
	a.changed = "another process changed it during the rollout: " + report.DriftText(drifted)
	a.warn("not verified as a good state: " + a.changed)
	a.use.Log.Warn("another process changed services during the rollout", "revision", record.Short(a.commit), "stack", applied.Name, "changes", report.DriftText(drifted))
	return nil
}

// follow waits for the services of a stack. If config.yml disables the health check, it
// still waits for jobs: their exit code is not a health check.
func (f follower) follow(ctx context.Context, stack *compose.Stack, before string) (deploy.Result, error) {
	a := f.a
	begun, err := begunPlan(a) // includes what was written before an interruption
	if err != nil {
		return deploy.Result{}, err
	}
	stack = deploy.Only(stack, slices.DeleteFunc(slices.Collect(maps.Keys(stack.Services)), func(name string) bool {
		return slices.Contains(a.sync.Leaves, name)
	}))
	var timeout time.Duration // deploy's default if there is no config.yml
	if config := a.config(); config != nil {
		timeout = config.HealthTimeout()
		if !config.Deployment.HealthCheck.Enabled {
			stack = deploy.Only(stack, slices.DeleteFunc(deploy.OneShots(stack), func(name string) bool { return deploy.Idle(stack.Services[name]) }))
			if len(stack.Services) == 0 {
				return deploy.Result{}, nil
			}
		}
	}
	started := time.Now()
	longest := cmp.Or(timeout, deploy.DefaultTimeout)
	for _, spec := range stack.Services {
		longest = max(longest, compose.Timeout(spec.Labels))
	}
	a.use.Screen.Step("the wait for services", longest+StepLimit)
	result, err := a.use.Engine.Verify(ctx, stack, deploy.VerifyOptions{
		Timeout: timeout,
		Changed: begun.Changed(),
		Progress: func(result deploy.Result) {
			a.use.Screen.Services(&report.Rollout{Started: started, Until: started.Add(longest), Services: result.Services})
			a.show(before + report.WaitingText(result))
		},
	})
	if data, jsonErr := json.Marshal(result.Services); jsonErr == nil {
		a.note.Services = data
	}
	return result, fault.Transient(err)
}
