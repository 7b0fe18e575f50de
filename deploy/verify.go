package deploy

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

const (
	// slowLook is how often the engine is looked at when no event comes.
	slowLook = 2 * time.Second
	// quickLook is the least time between two looks, however many events come.
	quickLook = 100 * time.Millisecond
	// defaultTimeout is how long convergence may take when nobody says.
	defaultTimeout = 5 * time.Minute
)

// VerifyOptions say how to wait for convergence.
type VerifyOptions struct {
	// Timeout is how long a service may take whose label says nothing else
	// (compose.LabelTimeout); 0 means five minutes.
	Timeout time.Duration
	// Changed names the services that were just written: all that happens to
	// their current spec counts. Of the others only what happens from now on.
	Changed []string
	// Progress, where set, gets the state of all services whenever it changes.
	Progress func(Result)
}

// State is how far a service has come.
type State string

// The states.
const (
	Pending   State = "pending"
	Converged State = "converged"
	Failed    State = "failed"
)

// ServiceResult is how one service fares against what it declares.
type ServiceResult struct {
	Name     string   `json:"name"`
	State    State    `json:"state"`
	Ready    uint64   `json:"ready"` // tasks running, or completed of a job
	Want     uint64   `json:"want"`
	Message  string   `json:"message,omitempty"`   // what is waited for, or what failed
	Error    string   `json:"error,omitempty"`     // the last task error, in the engine's words
	ExitCode int      `json:"exit_code,omitempty"` // of that task's container
	Node     string   `json:"node,omitempty"`      // where that task ran
	Health   []string `json:"health,omitempty"`    // what its health check said last, known secrets masked
	Logs     []string `json:"logs,omitempty"`      // its last lines, known secrets masked
	Seconds  float64  `json:"seconds,omitempty"`   // how long it was waited for, once that is over

	job       bool   // it is there to end
	task      string // the task that Error is about, or the newest
	node      string // its node's ID
	container string // its container's ID
}

// Result is the outcome of a rollout, by service, sorted by name.
type Result struct {
	Services []ServiceResult `json:"services"`
}

// Waiting lists the services that are not what they declare, the failed ones first.
func (r Result) Waiting() []ServiceResult {
	var failed, pending []ServiceResult
	for _, service := range r.Services {
		switch service.State {
		case Failed:
			failed = append(failed, service)
		case Pending:
			pending = append(pending, service)
		case Converged:
		}
	}
	return append(failed, pending...)
}

// Converged tells whether every service is what it declares.
func (r Result) Converged() bool {
	for _, service := range r.Services {
		if service.State != Converged {
			return false
		}
	}
	return true
}

// Verify follows the wanted services until each is what it declares, one has
// failed for good, or the time of one is over. Its error is about the looking
// itself; how the services fare is in the Result.
func (e *Engine) Verify(ctx context.Context, want *compose.Stack, opts VerifyOptions) (Result, error) {
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	e.negotiate(ctx)
	wake := e.follow(following, want)
	memory := newMemory(opts)
	var last Result
	for {
		live, tasks, err := e.look(ctx, want)
		if err != nil {
			return last, err
		}
		result, next := memory.judge(live, tasks, want)
		result.mask(want)
		if opts.Progress != nil && !reflect.DeepEqual(result, last) {
			opts.Progress(Result{Services: slices.Clone(result.Services)})
		}
		last = result
		if result.finished() {
			return e.detailed(ctx, want, result), nil
		}
		again := time.NewTimer(next)
		select {
		case <-ctx.Done():
			again.Stop()
			return last, ctx.Err()
		case <-wake:
		case <-again.C:
		}
		again.Stop()
	}
}

// mask hides the stack's secrets in what tasks say of themselves.
func (r Result) mask(want *compose.Stack) {
	for i := range r.Services {
		if service := &r.Services[i]; service.Error != "" {
			service.Error = maskSecrets(service.Error, want)
		}
	}
}

// finished tells whether nothing is left to wait for: one failure ends it.
func (r Result) finished() bool {
	for _, service := range r.Services {
		if service.State == Failed {
			return true
		}
	}
	return r.Converged()
}

// look reads the services and their tasks: two calls, whatever their number.
func (e *Engine) look(ctx context.Context, want *compose.Stack) (*LiveServices, map[string][]swarm.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	live, err := e.ObserveServices(ctx, want.Name)
	if err != nil {
		return nil, nil, err
	}
	tasks, err := e.tasks(ctx, stackLabel(want.Name))
	return live, tasks, err
}

// tasks gives tasks by the ID of their service.
func (e *Engine) tasks(ctx context.Context, filter filters.Args) (map[string][]swarm.Task, error) {
	list, err := e.api.TaskList(ctx, swarm.TaskListOptions{Filters: filter})
	if err != nil {
		return nil, e.explain("list tasks", err)
	}
	tasks := map[string][]swarm.Task{}
	for _, task := range list {
		tasks[task.ServiceID] = append(tasks[task.ServiceID], task)
	}
	return tasks, nil
}
