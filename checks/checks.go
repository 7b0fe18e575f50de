// Package checks tests a stack after a rollout: from a list of Checks it makes a Result
// for each, in the same order. It guarantees that it changes nothing, and that Results
// contain none of the given secrets.
package checks

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

// together is the number of checks that run at the same time.
const together = 8

// Secret is a value that must not be shown, such as a secrets.Value.
type Secret interface {
	Reveal() []byte
}

// Check is one check. Exactly one of its kinds is set. Its texts may contain {{name}} from
// Options.Facts, and some of them {{secret.name}} and values saved by earlier checks.
type Check struct {
	Name     string
	Retries  int           // attempts after the first
	Interval time.Duration // between two attempts
	Timeout  time.Duration // of one attempt

	HTTP *HTTP
	TCP  *TCP
	SQL  *SQL
	Exec *Exec
}

// Options has the inputs of the checks.
type Options struct {
	Facts    map[string]string
	Secrets  map[string]Secret           // by the name in {{secret.name}}
	Execer   execer                      // runs commands in containers
	Mask     func(text string) string    // hides more than the secrets above; may be nil
	Unknown  func(service string) string // names a secret of a service that Mask does not know, or ""; may be nil
	Progress func(Progress)              // is called for each change; may be nil
}

// execer runs a command in a container of a service, and returns its exit code and output.
type execer interface {
	Exec(ctx context.Context, service string, command []string) (code int, output string, err error)
}

// Progress is the progress of the checks.
type Progress struct {
	Passed, Ended, All int
	Last               string // the result of the last attempt
}

// Result is the result of a check.
type Result struct {
	Name     string  `json:"name"`
	Kind     string  `json:"kind"`
	Target   string  `json:"target"`
	OK       bool    `json:"ok"`
	Attempts int     `json:"attempts"`
	Seconds  float64 `json:"seconds"`         // of the last attempt
	Error    string  `json:"error,omitempty"` // the actual and the expected answer

	Baseline float64 `json:"baseline_seconds,omitempty"` // the median of earlier releases
	Slower   bool    `json:"slower,omitempty"`           // than the median by more than the limit

	cause error // of Error, not masked
}

// String returns the check's name, kind and target.
func (r Result) String() string { return fmt.Sprintf("%s (%s %s)", r.Name, r.Kind, r.Target) }

// Failure returns the failure in one line, or "".
func (r Result) Failure() string {
	if r.OK {
		return ""
	}
	return fmt.Sprintf("check %s: %s (%s)", r, r.Error, plural.Count(r.Attempts, "attempt"))
}

// Cause returns the error of the last attempt, for errors.Is. Its text is not masked.
func (r Result) Cause() error { return r.cause }

// probe is one kind of check.
type probe interface {
	kind() string
	// target names the tested server or service. Secrets in it are hidden.
	target(run *run) string
	// try makes one attempt. Its error has the actual and the expected answer.
	try(ctx context.Context, run *run) error
}

func (c Check) probe() probe {
	switch {
	case c.HTTP != nil:
		return c.HTTP
	case c.TCP != nil:
		return c.TCP
	case c.SQL != nil:
		return c.SQL
	}
	return c.Exec
}

// Run runs all checks until each has passed or has no attempts left, or ctx ends. Checks
// run in parallel, unless one needs a value that another one saves.
func Run(ctx context.Context, list []Check, options Options) []Result {
	run := newRun(list, options)
	slots := make(chan struct{}, together)
	var all sync.WaitGroup
	for i := range list {
		all.Go(func() {
			defer close(run.ended[i])
			run.check(ctx, i, slots)
			run.show(func(p *Progress) {
				p.Ended++
				if run.results[i].OK {
					p.Passed++
				}
			})
		})
	}
	all.Wait()
	return run.results
}

// run is the state of one call of Run.
type run struct {
	options Options
	list    []Check
	results []Result        // only the check's goroutine writes its result
	ended   []chan struct{} // closed when the result is final
	savedBy map[string]int  // the check that saves a name

	mu       sync.Mutex
	saved    map[string]string
	progress Progress
}

func newRun(list []Check, options Options) *run {
	r := &run{
		options: options, list: list, results: make([]Result, len(list)), ended: make([]chan struct{}, len(list)),
		savedBy: map[string]int{}, saved: map[string]string{}, progress: Progress{All: len(list)},
	}
	for i, check := range list {
		r.ended[i] = make(chan struct{})
		if check.HTTP != nil && check.HTTP.SaveAs != "" {
			r.savedBy[check.HTTP.SaveAs] = i
		}
	}
	return r
}

// check runs one check until it has passed or has no attempts left.
func (r *run) check(ctx context.Context, i int, slots chan struct{}) {
	check, result := r.list[i], &r.results[i]
	probe := check.probe()
	result.Name, result.Kind, result.Target = check.Name, probe.kind(), r.hide(probe.target(r))
	if result.Error = r.await(ctx, i); result.Error != "" {
		return
	}
	for {
		select {
		case <-ctx.Done():
			result.Error = "stopped: " + context.Cause(ctx).Error()
			return
		case slots <- struct{}{}:
		}
		result.Attempts++
		err := r.attempt(ctx, probe, check.Timeout, result)
		<-slots
		result.cause = err
		if result.OK = err == nil; result.OK {
			result.Error = ""
			return
		}
		result.Error = r.mask(err.Error())
		if result.Attempts > check.Retries {
			return
		}
		r.show(func(p *Progress) {
			p.Last = fmt.Sprintf("%s, attempt %d of %d: %s", check.Name, result.Attempts, check.Retries+1, result.Error)
		})
		select {
		case <-ctx.Done():
		case <-time.After(check.Interval):
		}
	}
}

// attempt makes one attempt and measures its time.
func (r *run) attempt(ctx context.Context, probe probe, timeout time.Duration, result *Result) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	started := time.Now()
	err := probe.try(limited, r)
	result.Seconds = time.Since(started).Seconds()
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return &fault.Error{Message: fmt.Sprintf("got no answer within %s, want %s", timeout, wanted(probe)), Err: err}
	}
	return err
}

// wanted describes the answer that a probe expects.
func wanted(probe probe) string {
	if http, ok := probe.(*HTTP); ok {
		return "status " + http.statuses()
	}
	return "an answer"
}

// await waits for the earlier checks that save the needed values. It returns an error
// text if one is missing.
func (r *run) await(ctx context.Context, i int) string {
	request := r.list[i].HTTP
	if request == nil {
		return "" // the other kinds use no saved values
	}
	for _, name := range namesIn(request.needs()) {
		by, saved := r.savedBy[name]
		if !saved || by >= i {
			continue
		}
		select {
		case <-ctx.Done():
			return "stopped: " + context.Cause(ctx).Error()
		case <-r.ended[by]:
		}
		if !r.results[by].OK {
			return fmt.Sprintf("not run: it needs {{%s}}, which the check %s did not save", name, r.list[by].Name)
		}
	}
	return ""
}

// show changes the progress and shows it.
func (r *run) show(change func(*Progress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.progress)
	if r.options.Progress != nil {
		r.options.Progress(r.progress)
	}
}

// Summary returns a short summary of the results.
func Summary(results []Result) string {
	passed, slow := 0, []string{}
	for _, result := range results {
		if result.OK {
			passed++
		}
		if result.Slower {
			slow = append(slow, result.Name)
		}
	}
	text := fmt.Sprintf("%d of %d passed", passed, len(results))
	if len(slow) > 0 {
		text += "; slower than before: " + strings.Join(slow, ", ")
	}
	return text
}
