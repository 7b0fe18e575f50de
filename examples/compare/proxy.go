package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// tally is what went through the proxy since the last reset.
type tally struct {
	reads, writes int
	bytes         int64          // of the bodies, in both directions
	classes       map[string]int // calls by method and path, such as "POST /services/{}/update"
	wrote         time.Time      // when the last write was answered
	answered      time.Time      // when the last call was answered
}

// end is when the work was done: the last write was answered, or the last call if nothing was
// written.
func (t tally) end() time.Time {
	if !t.wrote.IsZero() {
		return t.wrote
	}
	return t.answered
}

// proxy passes the calls of all tools on to the engine, and counts them.
type proxy struct {
	host string // unix:///…

	server    *http.Server
	transport *http.Transport

	mu    sync.Mutex
	seen  tally
	epoch int // counts the resets: an answer of a call before the reset does not count
	open  int // calls that are not answered yet, without streams of events
}

// newProxy serves a socket in dir in front of the engine's, until close.
func newProxy(dir, host string) (*proxy, error) {
	engine, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return nil, fmt.Errorf("count the calls to %s: only unix sockets are served", host)
	}
	path := filepath.Join(dir, "proxy.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("count the calls: %w", err)
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", engine)
		},
		MaxIdleConnsPerHost: 256, DisableCompression: true,
	}
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	pass := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "engine" },
		Transport: transport, FlushInterval: -1, ErrorLog: quiet,
	}
	p := &proxy{host: "unix://" + path, transport: transport, seen: tally{classes: map[string]int{}}}
	p.server = &http.Server{Handler: p.count(pass), ErrorLog: quiet, ReadHeaderTimeout: time.Minute}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

func (p *proxy) close() error {
	err := p.server.Close()
	p.transport.CloseIdleConnections()
	return err
}

// reset begins anew.
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = tally{classes: map[string]int{}}
	p.epoch++
}

// tally gives what went through since the last reset.
func (p *proxy) tally() tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	seen.classes = maps.Clone(seen.classes)
	return seen
}

// busy reports whether a call waits for its answer.
func (p *proxy) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open > 0
}

func (p *proxy) count(pass http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		write := r.Method != http.MethodGet && r.Method != http.MethodHead
		p.mu.Lock()
		epoch := p.epoch
		if write {
			p.seen.writes++
		} else {
			p.seen.reads++
		}
		kind := class(r.URL.Path)
		p.seen.classes[r.Method+" "+kind]++
		waits := 1
		if kind == "/events" {
			waits = 0
		}
		p.open += waits
		p.mu.Unlock()
		if r.Body != nil {
			r.Body = &countedBody{r.Body, p, epoch}
		}
		defer p.answered(epoch, waits, write) // also if the tool goes away
		pass.ServeHTTP(&countedAnswer{w, p, epoch}, r)
	})
}

// answered notes that a call was answered.
func (p *proxy) answered(epoch, waits int, write bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open -= waits
	if epoch != p.epoch {
		return
	}
	p.seen.answered = time.Now()
	if write {
		p.seen.wrote = p.seen.answered
	}
}

// carried counts the bytes of a body.
func (p *proxy) carried(bytes, epoch int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch == p.epoch {
		p.seen.bytes += int64(bytes)
	}
}

// countedBody is the body of a call.
type countedBody struct {
	io.ReadCloser
	proxy *proxy
	epoch int
}

func (b *countedBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	b.proxy.carried(n, b.epoch)
	return n, err
}

// countedAnswer is the answer to a call.
type countedAnswer struct {
	http.ResponseWriter
	proxy *proxy
	epoch int
}

func (a *countedAnswer) Write(content []byte) (int, error) {
	n, err := a.ResponseWriter.Write(content)
	a.proxy.carried(n, a.epoch)
	return n, err
}

// Unwrap lets the proxy flush and take over the connection.
func (a *countedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

var apiVersion = regexp.MustCompile(`^/v\d+\.\d+/`)

// verbs are the last parts of paths that say what is done.
var verbs = []string{"create", "update", "json", "logs", "prune", "init"}

// class gives a path of the Engine API without its version and without names: all calls that do
// the same have the same class.
func class(path string) string {
	parts := strings.Split(strings.Trim(apiVersion.ReplaceAllString(path, "/"), "/"), "/")
	last := parts[len(parts)-1]
	switch {
	case len(parts) == 1:
		return "/" + parts[0]
	case !slices.Contains(verbs, last):
		return "/" + parts[0] + "/{}"
	case len(parts) == 2:
		return "/" + parts[0] + "/" + last
	}
	return "/" + parts[0] + "/{}/" + last
}
