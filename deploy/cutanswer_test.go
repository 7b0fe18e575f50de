package deploy_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/deploy"
)

// An engine that ends in the middle of its answer, and a proxy before an engine that is away, say nothing
// of what was asked: the same call may succeed later.
func TestAnswerThatIsCutOff(t *testing.T) {
	proxy := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html><body><h1>" + text + "</h1>\nThe server is not available.\n</body></html>\n"))
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"in the middle of a list": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`[{"ID":"a","Spec":{"Name":"s_a"}},{"ID":"b"`))
		},
		"before the list": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1000") },
		"in the middle of an error": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"message":"up`))
		},
		"503": proxy(503, "503 Service Unavailable"),
		"502": proxy(502, "502 Bad Gateway"),
		"504": proxy(504, "504 Gateway Time-out"),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			listener, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if w.Header().Set("Api-Version", "1.41"); !strings.HasSuffix(r.URL.Path, "/_ping") {
					answer(w, r)
				}
			}))
			server.Listener = listener
			server.Start()
			t.Cleanup(server.Close)
			if _, err := connect(t, "unix://"+path).ObserveServices(t.Context(), "s"); !errors.Is(err, deploy.ErrUnavailable) {
				t.Errorf("%v", err)
			}
		})
	}
}
