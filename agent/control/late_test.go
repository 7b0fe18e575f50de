package control_test

import (
	"errors"
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

// stalling is a connection on which a piece takes a while, and no longer than its deadline.
type stalling struct {
	timed
	takes time.Duration
}

func (w *stalling) Write(p []byte) (int, error) {
	time.Sleep(min(w.takes, max(0, time.Until(w.deadline))))
	if w.takes > 0 && !time.Now().Before(w.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return w.ResponseRecorder.Write(p)
}

// A reader who does not read is left after ten seconds, one who reads slowly after two minutes.
func TestSlowReaders(t *testing.T) {
	hint := strings.Repeat("x", 3<<20)
	for name, test := range map[string]struct{ takes, ends time.Duration }{
		"reads":            {time.Second, 49 * time.Second},
		"reads slowly":     {5 * time.Second, 2 * time.Minute},
		"does not read it": {time.Hour, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handler, wait := server(&double{err: errors.New(hint)}).Handler(t.Context())
				defer wait()
				began := time.Now()
				w := &stalling{timed{ResponseRecorder: httptest.NewRecorder()}, test.takes}
				as(control.Caller{Scope: control.ScopeRead}, handler).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/secrets", nil))
				if took := time.Since(began); took != test.ends || (w.Body.Len() > len(hint)) != (name == "reads") {
					t.Errorf("after %s it has %d bytes", took, w.Body.Len())
				}
			})
		})
	}
}
