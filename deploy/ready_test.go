package deploy_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"coin.internal/coin-agent/deploy"
)

// restartable is an engine that counts what is asked, and whose streams of events can be ended.
type restartable struct {
	mu      sync.Mutex
	asked   map[string]int
	root    string // its data folder
	demoted bool
	streams chan func() // the end of each stream
}

func (e *restartable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path[strings.LastIndex(r.URL.Path, "/"):]
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Content-Type", "application/json")
	if path == "/events" {
		ctx, end := context.WithCancel(r.Context())
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		e.streams <- end
		<-ctx.Done()
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked[path]++
	switch {
	case path == "/info":
		_ = json.NewEncoder(w).Encode(map[string]any{"DockerRootDir": e.root, "Swarm": map[string]any{"LocalNodeState": "active", "ControlAvailable": !e.demoted}})
	case e.demoted:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"message":"This node is not a swarm manager."}`))
	default:
		_, _ = w.Write([]byte("[]"))
	}
}

// ready expects the data folder, or a refusal, and the questions that Ready asks for it.
func (e *restartable) ready(t *testing.T, engine *deploy.Engine, root string, infos, lists int) {
	t.Helper()
	e.mu.Lock()
	clear(e.asked)
	e.mu.Unlock()
	info, err := engine.Ready(t.Context())
	if (err != nil) != (root == "") || info.DataRoot != root {
		t.Errorf("%+v, %v, want %q", info, err, root)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.asked["/info"] != infos || e.asked["/services"] != lists {
		t.Errorf("asked %v, want %d and %d", e.asked, infos, lists)
	}
}

// TestReadyAsksOnce has an engine say what it is once while its events are followed, and again
// after it has restarted or is no longer a manager.
func TestReadyAsksOnce(t *testing.T) {
	served := &restartable{asked: map[string]int{}, root: "/old", streams: make(chan func(), 8)}
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(served)
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	engine := connect(t, "unix://"+path)

	served.ready(t, engine, "/old", 1, 0) // nothing is followed yet
	served.ready(t, engine, "/old", 1, 0)

	ctx, stop := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { deploy.TasksOf(engine).FollowDeaths(ctx, func(string) {}) })
	t.Cleanup(func() { stop(); following.Wait() })
	end := <-served.streams
	served.ready(t, engine, "/old", 1, 0)
	served.ready(t, engine, "/old", 0, 1)

	served.mu.Lock()
	served.root = "/new"
	served.mu.Unlock()
	end()
	<-served.streams
	served.ready(t, engine, "/new", 1, 0)
	served.ready(t, engine, "/new", 0, 1)

	served.mu.Lock()
	served.demoted = true
	served.mu.Unlock()
	served.ready(t, engine, "", 1, 1)

	stop()
	following.Wait()
	served.mu.Lock()
	served.demoted = false
	served.mu.Unlock()
	served.ready(t, engine, "/new", 1, 0)
}
