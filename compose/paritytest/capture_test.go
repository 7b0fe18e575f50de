package paritytest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
)

// bodies holds the requests in which the docker command creates a stack's objects.
type bodies struct {
	mu    sync.Mutex
	fault error

	services []swarm.ServiceSpec
	networks []network.CreateRequest
	secrets  []swarm.SecretSpec
	configs  []swarm.ConfigSpec
}

var created = regexp.MustCompile(`^/v[0-9.]+/(services|networks|secrets|configs)/create$`)

// capture starts a proxy in front of the engine at host that records these bodies.
func capture(t *testing.T, host string) (proxied string, sent *bodies) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(host, "unix://"))
	}}
	proxy := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", "engine"
	}}
	sent = &bodies{}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if match := created.FindStringSubmatch(r.URL.Path); match != nil && r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			sent.add(match[1], body, err)
			body = withoutPlugin(match[1], body)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		transport.CloseIdleConnections()
	})
	return "unix://" + path, sent
}

// withoutPlugin replaces a secret of a plugin by an ordinary one: the engine has no
// plugins, and would search a long time for it.
func withoutPlugin(kind string, body []byte) []byte {
	var spec swarm.SecretSpec
	if kind != "secrets" || json.Unmarshal(body, &spec) != nil || spec.Driver == nil {
		return body
	}
	spec.Driver, spec.Data = nil, []byte("any content")
	plain, err := json.Marshal(spec)
	if err != nil {
		return body
	}
	return plain
}

// add records one body. It refuses fields that the engine's types do not have, because
// they would not be compared.
func (b *bodies) add(kind string, body []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		switch kind {
		case "services":
			err = appendTo(&b.services, body)
		case "networks":
			err = appendTo(&b.networks, body)
		case "secrets":
			err = appendTo(&b.secrets, body)
		case "configs":
			err = appendTo(&b.configs, body)
		}
	}
	if err != nil && b.fault == nil {
		b.fault = fmt.Errorf("body of %s/create: %w", kind, err)
	}
}

func appendTo[T any](list *[]T, body []byte) error {
	var one T
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&one); err != nil {
		return err
	}
	*list = append(*list, one)
	return nil
}
