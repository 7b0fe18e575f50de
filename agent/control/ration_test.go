package control_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/audit"
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

// TestLargeAnswers has readers that do not read large answers. One of them takes two turns at most,
// all of them leave one to operators. Others wait, and are told when to come again; the status is
// answered.
func TestLargeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, wait := server(&double{}).Handler(t.Context())
		defer wait()
		ask := func(w http.ResponseWriter, name string, scope control.Scope, path string) {
			caller := control.Caller{Actor: audit.Actor{By: audit.ByUser, Name: name}, Scope: scope}
			as(caller, handler).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		}
		refused := func(name string, scope control.Scope, path string) {
			t.Helper()
			w, began := httptest.NewRecorder(), time.Now()
			if ask(w, name, scope, path); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || time.Since(began) != 10*time.Second {
				t.Errorf("%s %s: after %s %d %v %s", name, path, time.Since(began), w.Code, w.Header(), w.Body)
			}
		}
		answered := func(name string, scope control.Scope, path string) {
			t.Helper()
			w := httptest.NewRecorder()
			if ask(w, name, scope, path); w.Code != http.StatusOK || w.Body.Len() == 0 {
				t.Errorf("%s %s: %d %s", name, path, w.Code, w.Body)
			}
		}
		readers := make(chan struct{})
		for _, path := range []string{"/v1/syncs", "/v1/plan"} {
			go ask(unread{httptest.NewRecorder(), readers}, "token:a", control.ScopeRead, path)
		}
		synctest.Wait()
		refused("token:a", control.ScopeRead, "/v1/syncs")
		answered("token:b", control.ScopeRead, "/v1/syncs")
		go ask(unread{httptest.NewRecorder(), readers}, "token:b", control.ScopeRead, "/v1/secrets")
		synctest.Wait()
		refused("token:c", control.ScopeRead, "/v1/audit/verify")
		answered("token:op", control.ScopeOperate, "/v1/syncs")
		go ask(unread{httptest.NewRecorder(), readers}, "token:op", control.ScopeOperate, "/v1/syncs/1")
		synctest.Wait()
		refused("token:root", control.ScopeOperate, "/v1/syncs")
		answered("token:a", control.ScopeRead, "/v1/status")
		late := httptest.NewRecorder()
		go ask(late, "token:c", control.ScopeRead, "/v1/syncs")
		time.Sleep(time.Second)
		close(readers)
		synctest.Wait()
		if late.Code != http.StatusOK || late.Body.Len() == 0 {
			t.Errorf("who waited got %d %s", late.Code, late.Body)
		}
		answered("token:a", control.ScopeRead, "/v1/plan")
	})
}

// TestStreamsOfReaders has callers who only read open all streams that they may: one alone leaves
// some to others, and all of them some to operators.
func TestStreamsOfReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, wait := server(&double{}).Handler(t.Context())
		defer wait()
		follow := func(ctx context.Context, name string, scope control.Scope) *httptest.ResponseRecorder {
			caller, w := control.Caller{Actor: audit.Actor{By: audit.ByToken, Name: name}, Scope: scope}, httptest.NewRecorder()
			go as(caller, handler).ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events", nil))
			synctest.Wait()
			return w
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		first, end := context.WithCancel(ctx)
		defer end()
		for _, one := range []struct {
			name string
			most int
		}{{"token:a", 32}, {"token:b", 16}} {
			opened := 0
			for of := first; opened < 100 && follow(of, one.name, control.ScopeRead).Code == http.StatusOK; of = ctx {
				opened++
			}
			if opened != one.most {
				t.Errorf("%s opened %d streams, want %d", one.name, opened, one.most)
			}
		}
		if w := follow(ctx, "token:op", control.ScopeOperate); w.Code != http.StatusOK {
			t.Errorf("an operator got %d %s", w.Code, w.Body)
		}
		if w := follow(ctx, "token:c", control.ScopeRead); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("another reader got %d %v %s", w.Code, w.Header(), w.Body)
		}
		end()
		synctest.Wait()
		if w := follow(ctx, "token:c", control.ScopeRead); w.Code != http.StatusOK {
			t.Errorf("after the end of a stream another reader got %d %s", w.Code, w.Body)
		}
		cancel()
		synctest.Wait()
	})
}
