package agent

import (
	"net/http"
	"net/http/httptest"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Scrape gives the metrics as /metrics has them, without a network.
func (m *Metrics) Scrape() string {
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}).ServeHTTP(answer, request)
	return answer.Body.String()
}

// Size is a number of bytes as gates tell it.
func Size(bytes uint64) string { return size(bytes) }
