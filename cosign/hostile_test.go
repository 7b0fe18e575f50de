package cosign_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"coin.internal/coin-agent/cosign"
	"coin.internal/coin-agent/cosign/cosigntest"
	"coin.internal/coin-agent/internal/fault"
)

const password = "canary-password-8821"

type secret string

func (s secret) Reveal() []byte { return []byte(s) }

// ask asks a server for the signatures of an image, with a login.
func ask(t *testing.T, server http.HandlerFunc) error {
	t.Helper()
	listening := httptest.NewServer(server)
	t.Cleanup(listening.Close)
	options := cosign.Options{Bytes: 1 << 20, Login: func(context.Context, string) (string, cosign.Secret, error) {
		return "robot", secret(password), nil
	}}
	image := cosign.ParseImage(strings.TrimPrefix(listening.URL, "http://") + "/coin/app@" + digest.FromString("a").String())
	_, err := options.Verify(t.Context(), image, load(t, cosigntest.NewKey(t, "ecdsa").File))
	if err == nil || strings.Contains(err.Error()+fault.Hint(err), password) {
		t.Fatalf("got %v", err)
	}
	return err
}

// TestRegistryElsewhere has a registry send the agent to another server: that gets neither a
// request nor the login.
func TestRegistryElsewhere(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Www-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(elsewhere.Close)
	for name, server := range map[string]http.HandlerFunc{
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		},
		"redirects to plain http": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1"+r.URL.Path, http.StatusTemporaryRedirect)
		},
		"names a realm without TLS": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Www-Authenticate", `Bearer realm="http://192.0.2.1/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := ask(t, server); errors.As(err, new(*cosign.Refused)) || fault.Hint(err) == "" || !strings.Contains(err.Error(), "is not asked for signatures") {
				t.Errorf("got %v", err)
			}
		})
	}
	if asked.Load() > 0 {
		t.Errorf("the other server was asked %d times", asked.Load())
	}
}

// TestRegistryAway gets answers that say nothing of the image: they may pass.
func TestRegistryAway(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		want   string
	}{
		"down":           {http.StatusBadGateway, "HTTP 502"},
		"busy":           {http.StatusTooManyRequests, "HTTP 429"},
		"no such login":  {http.StatusUnauthorized, "refuses to show signatures with the login of this node"},
		"forbidden":      {http.StatusForbidden, "refuses to show signatures with the login of this node"},
		"not a registry": {http.StatusTeapot, "HTTP 418"},
	} {
		t.Run(name, func(t *testing.T) {
			err := ask(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Www-Authenticate", `Basic realm="x"`)
				http.Error(w, "it is "+password, test.status)
			})
			if errors.As(err, new(*cosign.Refused)) || !strings.Contains(err.Error(), test.want) || fault.Hint(err) == "" {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	image := cosign.ParseImage("127.0.0.1:1/coin/app@" + digest.FromString("a").String())
	if _, err := (cosign.Options{}).Verify(t.Context(), image, nil); !errors.Is(err, cosign.ErrUnreachable) {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestEndlessAnswer reads no more of an answer than the node allows.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	err := ask(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/referrers/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		_, err := w.Write([]byte(`{"manifests": [{}`))
		for many := []byte(strings.Repeat(`, {}`, 1<<14)); err == nil; {
			_, err = w.Write(many)
		}
	})
	if !errors.As(err, new(*cosign.Refused)) || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
}
