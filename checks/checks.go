// Package checks asks a stack that has just been rolled out whether it is well:
// it takes a list of Checks and gives a Result for each, in the same order. It
// changes nothing, and no secret that it is given stands in a Result.
package checks

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// together is how many checks are at work at the same time.
const together = 8

// Secret is a value that must not be seen; secrets.Value is one.
type Secret interface {
	Reveal() []byte
}

// Check is one question; one of its kinds is set. Texts may hold {{name}} of
// Options.Facts; some of them also {{secret.name}}, and what an earlier check
// has saved.
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

// Options are what the checks work with.
type Options struct {
	Facts    map[string]string
	Secrets  map[string]Secret        // by the name in {{secret.name}}
	Execer   execer                   // runs commands in containers
	Mask     func(text string) string // hides more than the secrets named here; nil for none
	Progress func(Progress)           // gets each change; nil for nobody
}

// execer runs a command in a container of a service and gives its exit code and
// what it printed.
type execer interface {
	Exec(ctx context.Context, service string, command []string) (code int, output string, err error)
}

// Progress is how far the checks are.
type Progress struct {
	Passed, Ended, All int
	Last               string // what the last attempt came to
}

// Result is what a check came to.
type Result struct {
	Name     string  `json:"name"`
	Kind     string  `json:"kind"`
	Target   string  `json:"target"`
	OK       bool    `json:"ok"`
	Attempts int     `json:"attempts"`
	Seconds  float64 `json:"seconds"`         // of the last attempt
	Error    string  `json:"error,omitempty"` // what came, and what was expected

	Baseline float64 `json:"baseline_seconds,omitempty"` // the median of earlier releases
	Slower   bool    `json:"slower,omitempty"`           // than the median by more than is allowed

	cause error // of Error, as the probe gave it
}

// String names the check and its target.
func (r Result) String() string { return fmt.Sprintf("%s (%s %s)", r.Name, r.Kind, r.Target) }

// Failure says what went wrong in one line; "" when nothing did.
func (r Result) Failure() string {
	if r.OK {
		return ""
	}
	attempts := "1 attempt"
	if r.Attempts != 1 {
		attempts = fmt.Sprintf("%d attempts", r.Attempts)
	}
	return fmt.Sprintf("check %s: %s (%s)", r, r.Error, attempts)
}

// Cause is why the last attempt failed, for errors.Is: its text is not masked.
func (r Result) Cause() error { return r.cause }

// probe is one kind of check at work.
type probe interface {
	kind() string
	// target names what is asked. Secrets that are known are hidden in it.
	target(run *run) string
	// needs lists the texts that may hold names of saved values.
	needs() []string
	// try asks once. Its error says what came and what was expected.
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
	case c.Exec != nil:
		return c.Exec
	}
	return nothing{}
}

// Run asks all checks, side by side as far as none needs what another saves,
// until each has passed or used up its attempts, or ctx ends.
func Run(ctx context.Context, list []Check, options Options) []Result {
	run := newRun(list, options)
	slots := make(chan struct{}, together)
	var all sync.WaitGroup
	for i := range list {
		all.Go(func() {
			defer close(run.ended[i])
			run.check(ctx, i, slots)
			run.tell(i)
		})
	}
	all.Wait()
	return run.results
}

// run is one way through a list of checks.
type run struct {
	Options
	list    []Check
	results []Result        // each is written by its own goroutine only
	ended   []chan struct{} // closed when the result is final
	savedBy map[string]int  // which check saves a name

	mu       sync.Mutex
	saved    map[string]string
	progress Progress
}

func newRun(list []Check, options Options) *run {
	r := &run{
		Options: options, list: list, results: make([]Result, len(list)), ended: make([]chan struct{}, len(list)),
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

// check asks one check until it has passed or used up its attempts.
func (r *run) check(ctx context.Context, i int, slots chan struct{}) {
	check, result := r.list[i], &r.results[i]
	probe := check.probe()
	result.Name, result.Kind, result.Target = check.Name, probe.kind(), r.hide(probe.target(r))
	if lacking := r.await(ctx, i, probe.needs()); lacking != "" {
		result.Error = lacking
		return
	}
	for {
		select {
		case <-ctx.Done():
			result.Error = "given up: " + context.Cause(ctx).Error()
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
		r.show(fmt.Sprintf("%s, attempt %d of %d: %s", check.Name, result.Attempts, check.Retries+1, result.Error))
		wait := time.NewTimer(check.Interval)
		select {
		case <-ctx.Done():
		case <-wait.C:
		}
		wait.Stop()
	}
}

// attempt asks once and measures it.
func (r *run) attempt(ctx context.Context, probe probe, timeout time.Duration, result *Result) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	started := time.Now()
	err := probe.try(limited, r)
	result.Seconds = time.Since(started).Seconds()
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return late{fmt.Sprintf("got no answer within %s, want %s", timeout, wanted(probe)), err}
	}
	return err
}

// late is what an attempt comes to that takes too long; what it was about to say is
// no more than its cause.
type late struct {
	text  string
	cause error
}

func (e late) Error() string { return e.text }
func (e late) Unwrap() error { return e.cause }

// wanted says what a probe hopes for.
func wanted(probe probe) string {
	if http, ok := probe.(*HTTP); ok {
		return "status " + http.statuses()
	}
	return "one"
}

// await waits for the checks whose saved values are needed, which stand before
// this one, and says what is lacking.
func (r *run) await(ctx context.Context, i int, texts []string) string {
	for _, name := range namesIn(texts) {
		by, saved := r.savedBy[name]
		if !saved || by >= i {
			continue
		}
		select {
		case <-ctx.Done():
			return "given up: " + context.Cause(ctx).Error()
		case <-r.ended[by]:
		}
		if !r.results[by].OK {
			return fmt.Sprintf("not tried: it needs {{%s}}, which the check %s did not give", name, r.list[by].Name)
		}
	}
	return ""
}

// tell counts an ended check.
func (r *run) tell(i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.Ended++
	if r.results[i].OK {
		r.progress.Passed++
	}
	if r.Progress != nil {
		r.Progress(r.progress)
	}
}

func (r *run) show(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.Last = text
	if r.Progress != nil {
		r.Progress(r.progress)
	}
}

// Summary says in a few words how checks went.
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

// nothing is a check without a kind.
type nothing struct{}

func (nothing) kind() string                    { return "none" }
func (nothing) target(*run) string              { return "" }
func (nothing) needs() []string                 { return nil }
func (nothing) try(context.Context, *run) error { return fmt.Errorf("the check asks nothing") }
