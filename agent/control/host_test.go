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
