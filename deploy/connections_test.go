package deploy_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy"
)

// TestConnectionsAreKept demands that writes which run at once use the connections of those before.
func TestConnectionsAreKept(t *testing.T) {
	const atOnce = 8
	var opened atomic.Int64
	var all sync.WaitGroup // of the writes that run at once
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		if r.Method == http.MethodPost {
			all.Done()
			all.Wait()
			_, _ = w.Write([]byte("{}"))
		}
	}))
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server.Listener = listener
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	api, err := deploy.Dial("unix://" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	for range 10 {
		all.Add(atOnce)
		var writes sync.WaitGroup
		for i := range atOnce {
			writes.Go(func() {
				if _, err := api.ServiceUpdate(t.Context(), fmt.Sprint(i), swarm.Version{}, swarm.ServiceSpec{}, swarm.ServiceUpdateOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
		writes.Wait()
	}
	// A connection is free shortly after its answer was read, so some writes may open another one.
	if n := opened.Load(); n > 3*atOnce {
		t.Errorf("%d connections for %d writes, %d at once", n, 10*atOnce, atOnce)
	}
}
