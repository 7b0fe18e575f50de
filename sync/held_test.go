package sync_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/waitfor"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// A server that answers with Retry-After is not asked again before, whatever for. A fetch is a
// POST, the list of the refs a GET.
func TestRetryAfter(t *testing.T) {
	made := example(t)
	backend, err := gittest.Handler(made.Root(), gittest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		status int
		after  string
		holds  bool
	}{
		"429":                     {http.StatusTooManyRequests, "3600", true},
		"503":                     {http.StatusServiceUnavailable, "3600", true},
		"429 for a second":        {http.StatusTooManyRequests, "1", true},
		"429 without Retry-After": {http.StatusTooManyRequests, "", false},
		"502":                     {http.StatusBadGateway, "3600", false},
	} {
		t.Run(name, func(t *testing.T) {
			var asked, refuse atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				if refuse.CompareAndSwap(1, 0) {
					w.Header().Set("Retry-After", test.after)
					http.Error(w, "later", test.status)
					return
				}
				backend.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			repo := open(t, gitsync.Remote{URL: server.URL + "/repo"})
			rev := selectBranch(t, repo)
			refuse.Store(1)
			if _, err := repo.Fetch(t.Context(), rev, nil); err == nil {
				t.Fatal("no error")
			}
			if test.after == "1" { // the second may be over by now
				waitfor.NoError(t, 5*time.Minute, func() error {
					_, err := repo.Fetch(t.Context(), rev, nil)
					return err
				})
				return
			}
			before := asked.Load()
			_, err := repo.Select(t.Context(), gitsync.Rule{Branch: "master"})
			if (err != nil) != test.holds || (asked.Load() == before) != test.holds {
				t.Errorf("asked %d times: %v", asked.Load()-before, err)
			}
			if test.holds {
				expect(t, err, gitsync.ErrUnreachable, "asks for no request for another", "interval")
			}
		})
	}
}
