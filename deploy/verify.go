package deploy

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

const (
	// slowLook is the time between two readings of the engine if no event comes.
	slowLook = 2 * time.Second
	// together is how long a reading waits for other events at the same time.
	together = 100 * time.Millisecond
	// lookCalls is how many calls a reading takes. A wait makes burst calls at once, and
	// callsPerSecond from then on, however many services change.
	lookCalls, burst, callsPerSecond = 2, 4, 2
	// DefaultTimeout is how long convergence may take if no timeout is given.
	DefaultTimeout = 5 * time.Minute
)

// VerifyOptions are the options of Verify.
type VerifyOptions struct {
	// Timeout is how long a service may take that has no label compose.LabelTimeout; 0
	// means five minutes.
	Timeout time.Duration
	// Changed names the services that were just written. Of those whose tasks are replaced
	// by that, the tasks that came after the write count; of other services, only failures
	// from now on count.
	Changed []string
	// Progress, if set, is called with the state of all services when it changes.
	Progress func(Result)
}

// State is the state of a service during verification.
type State string

// The states.
const (
	Pending   State = "pending"
	Converged State = "converged"
	Failed    State = "failed"
)

// ServiceResult compares one service with what it declares.
type ServiceResult struct {
	Name     string   `json:"name"`
	State    State    `json:"state"`
	Ready    uint64   `json:"ready"` // tasks running, or completed of a job
	Want     uint64   `json:"want"`
	Message  string   `json:"message,omitempty"`   // what the service still needs, or why it failed
	Error    string   `json:"error,omitempty"`     // the last task error, as the engine reports it
	ExitCode int      `json:"exit_code,omitempty"` // of that task's container
	Node     string   `json:"node,omitempty"`      // the node of that task
	Health   []string `json:"health,omitempty"`    // the last output of its health check, known secrets masked
	Logs     []string `json:"logs,omitempty"`      // its last log lines, known secrets masked
	Seconds  float64  `json:"seconds,omitempty"`   // how long the service took, once it converged or failed

	job        bool   // its tasks end by themselves
	lacksImage bool   // that task's node has no image for it
	task       string // the task that Error is about, or the newest
	node       string // its node's ID
	container  string // its container's ID

	spec swarm.TaskSpec // of that task, which may be an older one than the wanted
}

// Result is the state of the services, sorted by name.
type Result struct {
	Services []ServiceResult `json:"services"`

	observed Observed // that it was made of, at the end of Verify
}

// Observed gives the services of the stack as the end of Verify saw them; none of another Result.
func (r Result) Observed() Observed { return r.observed }

// Waiting lists the services that have not converged, the failed ones first.
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

// Converged tells whether every service has converged.
func (r Result) Converged() bool {
	return !slices.ContainsFunc(r.Services, func(s ServiceResult) bool { return s.State != Converged })
}

// budget limits the calls of a wait.
type budget struct {
	left float64
	at   time.Time // when left was right
}

// take spends the calls of a reading, and gives how long it has to wait.
func (b *budget) take(now time.Time) time.Duration {
	b.left = min(burst, b.left+callsPerSecond*now.Sub(b.at).Seconds()) - lookCalls
	b.at = now
	return time.Duration(max(0, -b.left) / callsPerSecond * float64(time.Second))
}

// Verify waits until every wanted service runs what it declares, or one has failed or
// its timeout is over. Its error is about reading the engine; the state of the services
// is in the Result.
func (e *Engine) Verify(ctx context.Context, want *compose.Stack, opts VerifyOptions) (Result, error) {
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultTimeout
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	// Every call sets the API version, but the stream of events reads it without a lock.
	e.negotiated.Do(func() { e.host.NegotiateAPIVersion(ctx) })
	changed := follow(following, e.host, want.Name)
	memory, calls, masks := newMemory(opts), &budget{left: burst, at: time.Now()}, NewMasks(want)
	var last Result
	for {
		if !pause(ctx, calls.take(time.Now())) {
			return last, ctx.Err()
		}
		observed, tasks, err := e.reader.look(ctx, want.Name)
		if err != nil {
			return last, err
		}
		result, next := memory.judge(observed.Services, tasks, want)
		for i := range result.Services {
			result.Services[i].Error = masks.replace.Replace(result.Services[i].Error)
		}
		if opts.Progress != nil && !reflect.DeepEqual(result, last) {
			opts.Progress(Result{Services: slices.Clone(result.Services)})
		}
		last = result
		if result.finished() {
			details := details{host: e.host, masks: masks}
			result = details.add(ctx, result)
			result.observed = observed
			return result, nil
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-changed:
		case <-time.After(next):
		}
	}
}

// finished tells whether the wait is over: one failure ends it.
func (r Result) finished() bool {
	return r.Converged() || slices.ContainsFunc(r.Services, func(s ServiceResult) bool { return s.State == Failed })
}
