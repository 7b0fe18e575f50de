package cosign_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"coin.internal/coin-agent/cosign"
)

// TestRegistryReachesNoLocalService has a registry send the request for a blob to services that
// only this machine reaches: they get no request. A storage elsewhere does.
func TestRegistryReachesNoLocalService(t *testing.T) {
	t.Parallel()
	var local atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { local.Add(1) }))
	t.Cleanup(service.Close)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(service.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	var target atomic.Value
	registry := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "registry.example.com" {
			http.Redirect(w, r, target.Load().(string), http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(registry.Close)
	transport := registry.Client().Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasSuffix(address, ".example.com:443") { // names of the test's certificate
			address = registry.Listener.Addr().String()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	client := cosign.Guarded(transport, "registry.example.com")
	const inside, plain = "only this machine reaches", "a request without TLS"
	for to, want := range map[string]string{
		"http://127.0.0.1:" + port + "/x":          inside,
		"http://localhost:" + port + "/x":          inside,
		"https://127.0.0.1:" + port + "/x":         inside,
		"https://LOCALHOST.:" + port + "/x":        inside,
		"https://a.localhost:" + port + "/x":       inside,
		"https://[::1]:" + port + "/x":             inside,
		"https://[::ffff:127.0.0.1]:" + port + "/": inside,
		"https://0.0.0.0:" + port + "/x":           inside,
		"http://169.254.169.254/latest/meta-data":  inside,
		"https://[fe80::1%25lo]/x":                 inside,
		"http://storage.example.com/x":             plain,
		"https://storage.example.com/x":            "",
	} {
		target.Store(to)
		response, err := client.Get("https://registry.example.com/v2/coin/app/blobs/sha256:0")
		if err == nil {
			_ = response.Body.Close()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", to, err, want)
		}
	}
	if local.Load() > 0 {
		t.Errorf("the local service was asked %d times", local.Load())
	}
}
