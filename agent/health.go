package agent

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

var errNoAnswer = errors.New("the remote has not answered yet")

// pulse is the progress of the loop: its current step since its last progress, or its wait
// for the next look.
type pulse struct {
	mu       sync.Mutex
	name     string // "" while the loop waits
	since    time.Time
	limit    time.Duration
	lastLook time.Time
	nextLook time.Time
}

// Begin notes that the loop begins a step that may take so long without progress.
func (p *pulse) Begin(name string, limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.since, p.limit = name, time.Now(), limit
}

// Beat notes that the step makes progress.
func (p *pulse) Beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = time.Now()
}

// looked notes the end of a look.
func (p *pulse) looked() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastLook = time.Now()
}

// rest notes that the loop waits for its next look.
func (p *pulse) rest(wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.nextLook = "", time.Now().Add(wait)
}

// looks gives the times of the last look and of the next one.
func (p *pulse) looks() (last, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastLook, p.nextLook
}

// stuck says why the loop makes no progress; nil if it makes progress. A loop that waits
// must look again when its wait is over.
func (p *pulse) stuck(now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.name != "" && now.After(p.since.Add(p.limit)):
		return fmt.Errorf("no progress in %s for %s", p.name, now.Sub(p.since).Round(time.Second))
	case p.name == "" && !p.nextLook.IsZero() && now.After(p.nextLook.Add(time.Minute)):
		return fmt.Errorf("no look at the remote since %s", p.lastLook.UTC().Format(time.RFC3339))
	}
	return nil
}

// HealthHandler answers /metrics, /healthz and /readyz.
func (a *Agent) HealthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.parts.Metrics.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { respond(w, a.pulse.stuck(time.Now())) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { respond(w, a.ready()) })
	return mux
}

// ready says why the loop makes no progress, or which of the remote and the engine did not
// answer at the last look.
func (a *Agent) ready() error {
	if err := a.pulse.stuck(time.Now()); err != nil {
		return err
	}
	for _, s := range a.stacks {
		v := s.board.Snapshot()
		if v.LookError != nil {
			return v.LookError
		}
		if v.Desired == nil {
			return errNoAnswer
		}
	}
	return nil
}

func respond(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
