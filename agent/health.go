package agent

import (
	"errors"
	"net/http"
	"time"
)

var errNoAnswer = errors.New("the remote has not answered yet")

// HealthHandler answers /metrics, /healthz and /readyz.
func (a *Agent) HealthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.parts.Metrics.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { respond(w, a.pulse.Stuck(time.Now())) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { respond(w, a.ready()) })
	return mux
}

// ready says why the loop makes no progress, or which of the remote and the engine did not
// answer at the last look.
func (a *Agent) ready() error {
	if err := a.pulse.Stuck(time.Now()); err != nil {
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
