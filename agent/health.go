package agent

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"coin.internal/coin-agent/agent/record"
)

// stepLimit is how long a step may take without progress before the loop counts as stuck.
// The wait for services has its own limit.
const stepLimit = 10 * time.Minute

var errNoAnswer = errors.New("the remote has not answered yet")

// step is what the loop does, since its last progress, and how long that may take.
type step struct {
	name  string
	since time.Time
	limit time.Duration
}

// step notes that the loop begins a step.
func (a *Agent) step(name string, limit time.Duration) {
	a.update(func(v *view) { v.step = step{name: name, since: time.Now(), limit: limit} })
}

// progressed notes that the step makes progress.
func (a *Agent) progressed() { a.update(func(v *view) { v.step.since = time.Now() }) }

// stuck says why the loop makes no progress; nil if it makes progress. A loop that waits
// must look again when its wait is over.
func (v *view) stuck(now time.Time) error {
	switch {
	case v.step.name != "" && now.After(v.step.since.Add(v.step.limit)):
		return fmt.Errorf("no progress in %s for %s", v.step.name, now.Sub(v.step.since).Round(time.Second))
	case v.step.name == "" && !v.nextPoll.IsZero() && now.After(v.nextPoll.Add(time.Minute)):
		return fmt.Errorf("no look at the remote since %s", v.lastLook.UTC().Format(time.RFC3339))
	}
	return nil
}

// healthz says whether the loop makes progress.
func (a *Agent) healthz(w http.ResponseWriter, _ *http.Request) {
	v := a.snapshot()
	respond(w, v.stuck(time.Now()))
}

// readyz says whether the loop makes progress, and the remote and the engine answered at
// the last look.
func (a *Agent) readyz(w http.ResponseWriter, _ *http.Request) {
	v := a.snapshot()
	err := v.stuck(time.Now())
	switch {
	case err != nil:
	case v.pollError != nil:
		err = v.pollError
	case v.desired == nil:
		err = errNoAnswer
	}
	respond(w, err)
}

func respond(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// HealthHandler answers /metrics, /healthz and /readyz.
func (a *Agent) HealthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.Metrics.Handler())
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	return mux
}

// gateFigures gives the metrics of the gates: whether the agent is paused, and the gates
// that a rollout waits for.
func (a *Agent) gateFigures() (paused bool, waiting []string) {
	sync := a.snapshot().sync
	if sync != nil && sync.State == record.Waiting {
		for _, gate := range sync.Gates {
			if gate.Waiting != "" {
				waiting = append(waiting, string(gate.Name))
			}
		}
	}
	return a.paused() != nil, waiting
}
