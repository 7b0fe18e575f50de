package agent

import (
	"context"
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

// Stream has a person ask for a sync, and gives what the person sees.
func (a *Agent) Stream(ctx context.Context) <-chan SyncEvent {
	return a.stream(ctx, cause{trigger: "manual", actor: self()})
}

// Size is a number of bytes as gates tell it.
func Size(bytes uint64) string { return size(bytes) }
