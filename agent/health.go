package agent

import (
	"net/http"
	"time"

	"coin.internal/coin-agent/agent/record"
)

// HealthHandler answers /metrics, /healthz and /readyz.
func (a *Agent) HealthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.Metrics.Handler())
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	return mux
}

// healthz says that the loop is alive: it is in a sync, or has looked within a
// few waits.
func (a *Agent) healthz(w http.ResponseWriter, _ *http.Request) {
	v := a.snapshot()
	if v.nextPoll.IsZero() || time.Now().Before(v.nextPoll.Add(time.Minute)) || v.sync != nil && !v.sync.State.Final() {
		_, _ = w.Write([]byte("ok\n"))
		return
	}
	http.Error(w, "the loop has stopped", http.StatusServiceUnavailable)
}

// readyz says that the remote and the engine answered at the last look.
func (a *Agent) readyz(w http.ResponseWriter, _ *http.Request) {
	v := a.snapshot()
	switch {
	case v.pollError != nil:
		http.Error(w, v.pollError.Error(), http.StatusServiceUnavailable)
	case v.desired == nil:
		http.Error(w, "the remote has not answered yet", http.StatusServiceUnavailable)
	default:
		_, _ = w.Write([]byte("ok\n"))
	}
}

// gateFigures are what the metrics tell: whether the agent is paused, and the gates
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
