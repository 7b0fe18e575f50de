package control_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"coin.internal/coin-agent/agent/control"
)

func TestLoopbackOnly(t *testing.T) {
	handler := control.LoopbackOnly(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	for host, want := range map[string]int{
		"localhost": 200, "localhost:9180": 200, "127.0.0.1:9180": 200, "127.0.0.1": 200, "[::1]:9180": 200, "[::1]": 200,
		"": 421, "[": 421, "rebound.example:9180": 421, "10.0.0.7:9180": 421, "localhost.example": 421, "127.0.0.1.example:9180": 421, "[::2]": 421,
	} {
		request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		request.Host = host
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code != want {
			t.Errorf("Host %q: got %d, want %d", host, answer.Code, want)
		}
	}
}

// A socket that is forwarded to a browser answers that browser's own requests alone.
func TestNoOtherSites(t *testing.T) {
	var scope control.Scope
	handler := control.NoOtherSites(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { scope = control.CallerOf(r.Context()).Scope }))
	for _, test := range []struct {
		host, name, value string
		want              int
	}{
		{"agent", "", "", 200},
		{"localhost:8080", "Origin", "http://localhost:8080", 200},
		{"127.0.0.1:8080", "Sec-Fetch-Site", "same-origin", 200},
		{"localhost:8080", "Sec-Fetch-Site", "none", 200},
		{"localhost:8080", "Accept-Language", "en", 200},
		{"rebound.example:8080", "", "", 421},
		{"evil:8080", "", "", 421},
		{"evil", "", "", 421},
		{"", "", "", 421},
		{"agent:8080", "Origin", "http://agent:8080", 421},
		{"agent:8080", "Sec-Fetch-Site", "same-origin", 421},
		{"agent:8080", "Accept-Language", "en", 421},
		{"localhost:8080", "Origin", "http://evil.example", 403},
		{"localhost:8080", "Origin", "null", 403},
		{"localhost:8080", "Sec-Fetch-Site", "cross-site", 403},
	} {
		request := httptest.NewRequest(http.MethodPost, "/v1/sync", nil)
		request.Host = test.host
		if test.name != "" {
			request.Header.Set(test.name, test.value)
		}
		request = request.WithContext(control.WithCaller(t.Context(), control.Caller{Scope: control.ScopeOperate}))
		answer := httptest.NewRecorder()
		scope = ""
		handler.ServeHTTP(answer, request)
		want := map[bool]control.Scope{true: control.ScopeRead, false: control.ScopeOperate}[test.name != ""] // a browser only asks
		if answer.Code != test.want || answer.Code == http.StatusOK && scope != want {
			t.Errorf("%+v: got %d with the scope %q", test, answer.Code, scope)
		}
	}
}
