package deploy

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// restartCounter is the path of the field with which Swarm runs a service again without
// another change.
const restartCounter = "TaskTemplate.ForceUpdate"

// Rerun gives the wanted stack with raised restart counters, so that those services run
// again that have failed with the wanted spec and that Swarm does not run again: failed
// jobs, ended tasks that Swarm does not restart, and paused updates. A job that exited
// with 0 for its spec does not run again. Rerun reads the tasks of services that may have
// failed and equal the wanted spec, and reads nothing if there are none.
func (e *Engine) Rerun(ctx context.Context, live LiveServices, want *compose.Stack) (*compose.Stack, error) {
	filter := filters.NewArgs()
	var same []string
	jobs := OneShots(want)
	for _, name := range keys(want.Services) {
		existing, there := live[name]
		if !there || Idle(existing.Spec) || !slices.Contains(jobs, name) && !stopped(existing) {
			continue
		}
		if len(serviceChanges(existing.Spec, keep(want, name, existing.Spec))) == 0 {
			same = append(same, name)
			filter.Add("service", existing.ID)
		}
	}
	if len(same) == 0 {
		return want, nil
	}
	tasks, err := e.reader.tasks(ctx, filter)
	if err != nil {
		return nil, err
	}
	result, _ := newMemory(VerifyOptions{Timeout: DefaultTimeout, Changed: jobs}).judge(live, tasks, Only(want, same))
	counters := map[string]uint64{}
	for _, service := range result.Services {
		if service.State == Failed {
			counters[service.Name] = live[service.Name].Spec.TaskTemplate.ForceUpdate + 1
		}
	}
	return withCounters(want, counters), nil
}

// stopped tells whether Swarm may have given up a service.
func stopped(service swarm.Service) bool {
	counts := service.ServiceStatus
	return paused(service) || counts != nil && counts.RunningTasks < counts.DesiredTasks
}

// WithReruns gives the wanted stack with the restart counters that the plan sets, so
// that the services which the plan runs again run again.
func (p RecordedPlan) WithReruns(want *compose.Stack) *compose.Stack {
	counters := map[string]uint64{}
	for _, step := range p.Steps {
		for _, change := range step.Changes {
			if _, wanted := want.Services[step.Name]; !wanted || change.Path != restartCounter {
				continue
			}
			if counter, err := strconv.ParseUint(change.New, 10, 64); err == nil {
				counters[step.Name] = counter
			}
		}
	}
	return withCounters(want, counters)
}

// withCounters gives the stack with these restart counters.
func withCounters(want *compose.Stack, counters map[string]uint64) *compose.Stack {
	if len(counters) == 0 {
		return want
	}
	counting := *want
	counting.Services = maps.Clone(want.Services)
	for name, counter := range counters {
		spec := counting.Services[name]
		spec.TaskTemplate.ForceUpdate = counter
		counting.Services[name] = spec
	}
	return &counting
}

// RunsAgain tells whether a step does no more than run a service again.
func (s Step) RunsAgain() bool {
	return len(s.Changes) == 1 && s.Changes[0].Path == restartCounter
}
