package deploy

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
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
	// Timeout ends the waiting; 0 means five minutes.
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
	Logs     []string `json:"logs,omitempty"`      // its last lines, known secrets masked

	task string // the task that Error is about
	node string // its node's ID
}

// Result is the outcome of a rollout, by service, sorted by name.
type Result struct {
	Services []ServiceResult `json:"services"`
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

// Err is nil when all services have converged, else a fault that names the first
// service that has failed (or still waits) and its task's own error.
func (r Result) Err() error {
	for _, state := range []State{Failed, Pending} {
		for _, service := range r.Services {
			if service.State == state {
				return service.fault()
			}
		}
	}
	return nil
}

// fault puts the task's own error first: that is what a reader with little room
// has to see.
func (s ServiceResult) fault() error {
	why := s.Message
	if s.Error != "" && s.Error != s.Message {
		why = s.Error + "; " + s.Message
	}
	if s.Node != "" {
		why += " (on " + s.Node + ")"
	}
	hint := "docker service ps --no-trunc " + s.Name
	if strings.Contains(s.Error, noSuchImage) {
		hint = "check the tag, or push the image to its registry"
	}
	return &fault.Error{Message: fmt.Sprintf("service %s: %s", s.Name, why), Hint: hint}
}

// Verify follows the wanted services until each is what it declares, one has
// failed for good, or the time is over. Its error is about the looking itself;
// how the services fare is in the Result.
func (e *Engine) Verify(ctx context.Context, want *compose.Stack, opts VerifyOptions) (Result, error) {
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	deadline := time.NewTimer(opts.Timeout)
	defer deadline.Stop()
	following, stop := context.WithCancel(ctx)
	defer stop()
	e.negotiate(ctx)
	wake := e.follow(following, want)
	memory := newMemory(opts.Changed)
	var last Result
	for {
		live, tasks, err := e.look(ctx, want)
		if err != nil {
			return last, err
		}
		result, next := memory.judge(live, tasks, want)
		if opts.Progress != nil && !reflect.DeepEqual(result, last) {
			opts.Progress(result)
		}
		last = result
		if result.finished() {
			return e.detailed(ctx, want, result), nil
		}
		again := time.NewTimer(min(next, slowLook))
		select {
		case <-ctx.Done():
			again.Stop()
			return last, ctx.Err()
		case <-deadline.C:
			again.Stop()
			return e.detailed(ctx, want, overdue(result, opts.Timeout)), nil
		case <-wake:
		case <-again.C:
		}
		again.Stop()
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

func overdue(result Result, timeout time.Duration) Result {
	for i := range result.Services {
		service := &result.Services[i]
		if service.State == Pending {
			service.State = Failed
			service.Message = fmt.Sprintf("not done within %s: %s", timeout, service.Message)
		}
	}
	return result
}

// look reads the services and their tasks: two calls, whatever their number.
func (e *Engine) look(ctx context.Context, want *compose.Stack) (*Live, map[string][]swarm.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	live, err := e.ObserveServices(ctx, want.Name)
	if err != nil {
		return nil, nil, err
	}
	list, err := e.api.TaskList(ctx, swarm.TaskListOptions{
		Filters: filters.NewArgs(filters.Arg("label", compose.LabelStack+"="+want.Name)),
	})
	if err != nil {
		return nil, nil, e.explain("list tasks", err)
	}
	tasks := map[string][]swarm.Task{}
	for _, task := range list {
		tasks[task.ServiceID] = append(tasks[task.ServiceID], task)
	}
	return live, tasks, nil
}
