package swarmtest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Call is one request to an engine.
type Call struct {
	Method string
	Path   string // without the API version
	Query  string
}

func (c Call) String() string { return c.Method + " " + c.Path }

// Write tells whether the call could change the engine. A command in a container does not
// count: the engine does not store it.
func (c Call) Write() bool {
	return c.Method != http.MethodGet && c.Method != http.MethodHead && !command.MatchString(c.Path)
}

var command = regexp.MustCompile(`^/(containers/[^/]+/exec|exec/[^/]+/start)$`)

// Recorder is a proxy in front of an engine, on its own socket. It records the calls,
// including streams such as /events.
type Recorder struct {
	Host string

	mu     sync.Mutex
	calls  []Call
	before map[int]func(Call) error // by number of the write, counted from the last Reset
	writes int
}

var apiVersion = regexp.MustCompile(`^/v\d+\.\d+/`)

// Record starts a recorder in front of the Swarm for the duration of the test.
func (s *Swarm) Record(tb testing.TB) *Recorder {
	tb.Helper()
	recorder, stop, err := NewRecorder(s.Host)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(stop)
	return recorder
}

// NewRecorder starts a recorder in front of the engine at host (unix:///… only), until stop
// is called.
func NewRecorder(host string) (recorder *Recorder, stop func(), err error) {
	socket, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return nil, nil, fmt.Errorf("record calls to %s: only unix sockets are served", host)
	}
	dir, err := os.MkdirTemp("/tmp", "recorder") // socket paths must be short
	if err != nil {
		return nil, nil, fmt.Errorf("record calls: %w", err)
	}
	path := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, nil, fmt.Errorf("record calls: %w", err)
	}
	recorder = &Recorder{Host: "unix://" + path, before: map[int]func(Call) error{}}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "engine"
		},
		Transport:     transport,
		FlushInterval: -1, // forward events at once
		ErrorLog:      quiet,
	}
	server := &http.Server{Handler: recorder.handle(proxy), ErrorLog: quiet}
	go func() { _ = server.Serve(listener) }()
	return recorder, func() {
		_ = server.Close()
		transport.CloseIdleConnections()
		_ = os.RemoveAll(dir)
	}, nil
}

func (r *Recorder) handle(proxy http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		call := Call{Method: request.Method, Path: apiVersion.ReplaceAllString(request.URL.Path, "/"), Query: request.URL.RawQuery}
		if err := r.note(call); err != nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, `{"message":%q}`, err)
			return
		}
		proxy.ServeHTTP(w, request)
	})
}

func (r *Recorder) note(call Call) error {
	r.mu.Lock()
	r.calls = append(r.calls, call)
	var act func(Call) error
	if call.Write() {
		r.writes++
		act = r.before[r.writes]
	}
	r.mu.Unlock()
	if act == nil {
		return nil
	}
	return act(call)
}

// BeforeWrite calls act before the n-th write after the last Reset, counted from 1. If act
// fails, the answer is status 500, and the write does not reach the engine.
func (r *Recorder) BeforeWrite(n int, act func(Call) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before[n] = act
}

// Reset deletes the recorded calls and the functions of BeforeWrite.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls, r.writes = nil, 0
	clear(r.before)
}

// Calls lists the calls since the last Reset.
func (r *Recorder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// Writes lists the calls since the last Reset that could change something.
func (r *Recorder) Writes() []Call {
	return slices.DeleteFunc(r.Calls(), func(c Call) bool { return !c.Write() })
}
