package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestProxyCounts sends calls of each kind through the proxy.
func TestProxyCounts(t *testing.T) {
	held := make(chan struct{})
	p, client := proxied(t, func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/v1.41/events" {
			_ = http.NewResponseController(w).Flush()
			<-held
		}
		_, _ = w.Write(append(content, "1234"...))
	})
	call := func(method, path, body string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://engine"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if content, err := io.ReadAll(answer.Body); string(content) != body+"1234" && method != http.MethodHead || err != nil {
			t.Errorf("%s %s: %q, %v", method, path, content, err)
		}
		_ = answer.Body.Close()
	}
	events, err := client.Get("http://engine/v1.41/events") // a stream that stays open
	if err != nil {
		t.Fatal(err)
	}
	p.reset()
	began := time.Now()
	call("HEAD", "/_ping", "")
	call("GET", "/v1.41/services", "")
	call("POST", "/v1.41/services/create", "abc")
	call("POST", "/v1.50/services/x1/update", "de")
	call("POST", "/v1.50/services/x2/update", "")
	settled := func() tally {
		t.Helper()
		var seen tally
		err := until(t.Context(), time.Minute, func() error {
			if seen = p.tally(); seen.answered.IsZero() || seen.wrote.Before(began) {
				return io.ErrNoProgress
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	wrote := settled().end()
	call("GET", "/v1.41/distribution/127.0.0.1:5000/shop:001/json", "")
	close(held) // ends a call of before the reset
	if content, err := io.ReadAll(events.Body); string(content) != "1234" || err != nil {
		t.Errorf("%q, %v", content, err)
	}
	_ = events.Body.Close()
	if p.busy() {
		t.Error("a call is still open")
	}
	seen := settled()
	if seen.reads != 3 || seen.writes != 3 || seen.bytes != 5+(4*5+5) {
		t.Errorf("%d reads, %d writes, %d bytes", seen.reads, seen.writes, seen.bytes)
	}
	if !seen.end().Equal(wrote) || seen.answered.Before(wrote) {
		t.Errorf("the last write was at %s, now at %s; the last answer at %s", wrote, seen.end(), seen.answered)
	}
	want := map[string]int{
		"HEAD /_ping": 1, "GET /services": 1, "POST /services/create": 1, "POST /services/{}/update": 2, "GET /distribution/{}/json": 1,
	}
	if diff := cmp.Diff(want, seen.classes); diff != "" {
		t.Error(diff)
	}
}

// proxied serves an engine behind a proxy, and gives a client of the proxy.
func proxied(t *testing.T, engine http.HandlerFunc) (*proxy, *http.Client) {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "engine")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(engine)
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	p, err := newProxy(dir, "unix://"+socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(p.host, "unix://"))
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return p, &http.Client{Transport: transport}
}
