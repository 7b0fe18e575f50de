package agent_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// Users who ask for a sync while one runs share the next one.
func TestRequestsCoalesce(t *testing.T) {
	inWorld(t, func(w *world) {
		release := make(chan struct{})
		w.onApply = func(context.Context) { <-release }
		w.start()
		w.wantLast(w.revision.Commit, record.Running)
		results := make(chan *record.Sync, 3)
		for range 3 {
			go func() {
				sync, err := w.desk.Sync(w.t.Context(), person, func(string) {})
				if err != nil {
					w.t.Error(err)
				}
				results <- sync
			}()
		}
		synctest.Wait()
		close(release)
		first := w.last().ID
		for range 3 {
			if sync := <-results; sync == nil || sync.ID != first+1 || sync.Trigger != record.OnRequest {
				w.t.Errorf("got %+v", sync)
			}
		}
		if last := w.last(); last.ID != first+1 {
			w.t.Errorf("the last sync is #%d, want #%d", last.ID, first+1)
		}
	})
}

// A look that every user has given up on is not made.
func TestRequestsGivenUp(t *testing.T) {
	inWorld(t, func(w *world) {
		release := make(chan struct{})
		w.onApply = func(context.Context) { <-release }
		w.start()
		for range 2 {
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
			if _, err := w.desk.Sync(ctx, person, func(string) {}); err == nil {
				w.t.Error("it did not give up")
			}
			cancel()
		}
		close(release)
		synctest.Wait()
		w.poll()
		if last := w.last(); last.ID != 1 || last.Trigger != record.OnCommit {
			w.t.Errorf("the last sync is %+v", last)
		}
	})
}

// A user whose command waits for the loop does not keep another one waiting.
func TestResumeDoesNotBlock(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, baseConfig)
		w.start()
		w.release("2")
		w.poll()
		w.wentBack(request.Rollback{})
		release := make(chan struct{})
		w.set(func() { w.older = func(string, string) bool { <-release; return true } }) // a slow remote
		w.release("3")
		w.poll()
		resumed := make(chan error, 1)
		go func() {
			_, err := w.desk.Resume(w.t.Context(), person, request.Resume{})
			resumed <- err
		}()
		synctest.Wait()
		if _, err := w.desk.Pause(person, request.Pause{Reason: "why"}); err != nil {
			t.Error(err)
		}
		close(release)
		if err := <-resumed; err != nil {
			t.Error(err)
		}
	})
}

// probe asks an endpoint of the health handler.
func (w *world) probe(path string) int {
	answer := httptest.NewRecorder()
	w.agent.HealthHandler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer.Code
}

// A sync that makes no progress is not healthy; one that does is, however long it takes.
func TestHealthIsProgress(t *testing.T) {
	inWorld(t, func(w *world) {
		stuck := make(chan struct{})
		w.onApply = func(context.Context) { <-stuck }
		w.start()
		w.pass(9 * time.Minute)
		if code := w.probe("/healthz"); code != http.StatusOK {
			t.Errorf("after 9 minutes: %d", code)
		}
		w.pass(2 * time.Minute)
		if live, ready := w.probe("/healthz"), w.probe("/readyz"); live != http.StatusServiceUnavailable || ready != live {
			t.Errorf("after 11 minutes without progress: %d, ready %d", live, ready)
		}
		close(stuck)
		synctest.Wait()
		if live, ready := w.probe("/healthz"), w.probe("/readyz"); live != http.StatusOK || ready != live {
			t.Errorf("once it goes on: %d, ready %d", live, ready)
		}
		w.set(func() { w.onApply = nil })
		w.pass(time.Hour)
		if code := w.probe("/healthz"); code != http.StatusOK {
			t.Errorf("of an idle agent: %d", code)
		}
	})
}
