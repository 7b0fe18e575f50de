package gittest

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Options are the options of a server.
type Options struct {
	Whole bool   // no filters and no objects by hash, the defaults of git
	Token string // over HTTP: the required password

	// Version0 has the server answer in version 0 of the protocol, as behind a proxy that drops the
	// header, and as an sshd does by default. The git daemon answers in version 2 all the same.
	Version0 bool

	// Remember has the server ask git only once what it can do, and for the refs only when one has
	// changed, for tests that look often.
	Remember bool
}

// Handler serves the repositories in root over git's smart HTTP, for reads and pushes.
func Handler(root string, options Options) (http.Handler, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("find git (install git): %w", err)
	}
	out, err := exec.Command(git, "--exec-path").Output()
	if err != nil {
		return nil, fmt.Errorf("ask git for its programs: %w", err)
	}
	backend := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		return nil, fmt.Errorf("find git-http-backend (install git): %w", err)
	}
	absolute, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", root, err)
	}
	config := serverConfig(options.Whole)
	env := append(gitEnv(), "GIT_PROJECT_ROOT="+absolute, "GIT_HTTP_EXPORT_ALL=1", fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(config)))
	for i, key := range slices.Sorted(maps.Keys(config)) {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, config[key]))
	}
	var served http.Handler = &cgi.Handler{Path: backend, Env: env, Stderr: io.Discard, Logger: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	if options.Remember {
		served = &memory{git: served, root: absolute, known: map[string]remembered{}}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		if options.Token != "" && subtle.ConstantTimeCompare([]byte(password), []byte(options.Token)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "HTTP Basic: Access denied", http.StatusUnauthorized)
			return
		}
		if options.Version0 {
			r.Header.Del("Git-Protocol")
		}
		served.ServeHTTP(w, r)
	}), nil
}

// HTTPServer is a git server that counts requests and can fail.
type HTTPServer struct {
	*httptest.Server

	mu       sync.Mutex
	requests []string
	sent     int // bytes of answers
	status   int
	hang     func(*http.Request) bool
	quit     chan struct{}
}

// HTTP serves the repositories in root until the test ends.
func HTTP(tb testing.TB, root string, options Options) *HTTPServer {
	tb.Helper()
	s := newHTTP(tb, root, options)
	s.Start()
	return s
}

// HTTPS is HTTP with TLS. It also returns the file with the certificate authority.
func HTTPS(tb testing.TB, root string, options Options) (*HTTPServer, string) {
	tb.Helper()
	s := newHTTP(tb, root, options)
	s.StartTLS()
	return s, writeCertificate(tb, s.Certificate())
}

func newHTTP(tb testing.TB, root string, options Options) *HTTPServer {
	tb.Helper()
	handler, err := Handler(root, options)
	if err != nil {
		tb.Fatal(err)
	}
	s := &HTTPServer{quit: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
		status, hang := s.status, s.hang
		s.mu.Unlock()
		switch {
		case hang != nil && hang(r):
			select {
			case <-s.quit:
			case <-r.Context().Done():
			}
		case status != 0:
			http.Error(w, "you said: "+r.Header.Get("Authorization"), status)
		default:
			handler.ServeHTTP(counted{w, s}, r)
		}
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // errors of clients that do not trust it
	tb.Cleanup(func() {
		close(s.quit)
		s.Close()
	})
	return s
}

// Requests returns the requests since the last call, as METHOD /path.
func (s *HTTPServer) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.requests
	s.requests = nil
	return asked
}

// Sent returns how many bytes the answers since the last call had, without their headers.
func (s *HTTPServer) Sent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.sent
	s.sent = 0
	return sent
}

// counted counts what is written.
type counted struct {
	http.ResponseWriter
	server *HTTPServer
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.sent += n
	return n, err
}

// Fail answers every request with a status, and echoes the credentials of the request. 0
// disables it.
func (s *HTTPServer) Fail(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// Hang does not answer the requests that when selects; nil disables it.
func (s *HTTPServer) Hang(when func(*http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang = when
}
