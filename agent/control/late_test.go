package control_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/control"
)

// timed is a connection whose writes fail after their deadline.
type timed struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (w *timed) SetWriteDeadline(at time.Time) error {
	w.deadline = at
	return nil
}

func (w *timed) Write(p []byte) (int, error) {
	if time.Now().After(w.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return w.ResponseRecorder.Write(p)
}

// A request that waits for the loop gets its answer, however long that takes.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, wait := server(&double{takes: 10 * time.Minute}).Handler(t.Context())
		w := &timed{httptest.NewRecorder(), time.Now().Add(2 * time.Minute)}
		as(control.Caller{Scope: control.ScopeOperate}, handler).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/secrets/collect", nil))
		wait()
		if !strings.Contains(w.Body.String(), `"stack":"s"`) {
			t.Errorf("got %d %q", w.Code, w.Body)
		}
	})
}
