// Package pulse takes the steps of the loop and says whether it makes progress, to callers
// and to probes over HTTP. It changes nothing.
package pulse

import (
	"cmp"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Pulse is the progress of the loop: its current step since its last progress, or its wait
// for the next look.
type Pulse struct {
	mu       sync.Mutex
	name     string // "" while the loop waits
	since    time.Time
	limit    time.Duration
	lastLook time.Time
	nextLook time.Time
	first    chan struct{} // closed once the first look has ended, or has begun a rollout; nil until it is asked for
	begun    bool
}

// Begin notes that the loop begins a step that may take so long without progress.
func (p *Pulse) Begin(name string, limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.since, p.limit = name, time.Now(), limit
	if name != Look {
		p.begin()
	}
}

// Look is the step of the loop that observes and decides; what a rollout does are others.
const Look = "look"

// begin notes that the first look has ended, or has begun a rollout.
func (p *Pulse) begin() {
	if !p.begun && p.first != nil {
		close(p.first)
	}
	p.begun = true
}

// underway gives a channel that is closed once the first look has ended, or has begun a rollout.
func (p *Pulse) underway() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first == nil {
		p.first = make(chan struct{})
		if p.begun {
			close(p.first)
		}
	}
	return p.first
}

// Beat notes that the step makes progress.
func (p *Pulse) Beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = time.Now()
}

// Looked notes the end of a look.
func (p *Pulse) Looked() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastLook = time.Now()
	p.begin()
}

// Rest notes that the loop waits for its next look.
func (p *Pulse) Rest(wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.nextLook = "", time.Now().Add(wait)
}

// Looks gives the times of the last look and of the next one.
func (p *Pulse) Looks() (last, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastLook, p.nextLook
}

// Stuck says why the loop makes no progress; nil if it makes progress. A loop that waits
// must look again when its wait is over.
func (p *Pulse) Stuck(now time.Time) error {
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

// Probes answers /healthz and /readyz. ready says what else is missing for readiness.
func (p *Pulse) Probes(ready func() error) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { respond(w, p.Stuck(time.Now())) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, cmp.Or(p.Stuck(time.Now()), ready()))
	})
	return mux
}

func respond(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
