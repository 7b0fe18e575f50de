package control_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/control"
)

// unread is a connection whose reader does not read until it is told to.
type unread struct {
	*httptest.ResponseRecorder
	read chan struct{}
}

func (w unread) Write(p []byte) (int, error) {
	<-w.read
	return w.ResponseRecorder.Write(p)
}

// TestLargeAnswers has readers that do not read large answers. Others wait, and are told when to
// come again; the status is answered.
func TestLargeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, wait := server(&double{}).Handler(t.Context())
		defer wait()
		handler := as(control.Caller{Scope: control.ScopeRead}, inner)
		ask := func(w http.ResponseWriter, path string) {
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		}
		readers := make(chan struct{})
		for _, path := range []string{"/v1/syncs", "/v1/syncs/1", "/v1/secrets", "/v1/plan"} {
			go ask(unread{httptest.NewRecorder(), readers}, path)
		}
		synctest.Wait()
		began := time.Now()
		for _, path := range []string{"/v1/syncs", "/v1/audit/verify"} {
			w := httptest.NewRecorder()
			if ask(w, path); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
				t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
			}
		}
		if waited := time.Since(began); waited < 10*time.Second || waited > time.Minute {
			t.Errorf("refused after %s", waited)
		}
		w := httptest.NewRecorder()
		if ask(w, "/v1/status"); w.Code != http.StatusOK {
			t.Errorf("status: %d %s", w.Code, w.Body)
		}
		late := httptest.NewRecorder()
		go ask(late, "/v1/syncs")
		time.Sleep(time.Second)
		close(readers)
		synctest.Wait()
		if late.Code != http.StatusOK || late.Body.Len() == 0 {
			t.Errorf("who waited got %d %s", late.Code, late.Body)
		}
	})
}
