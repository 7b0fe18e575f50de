package page_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkPage makes the pages of a node with 1,000 services and 1,000 syncs: all services have
// trouble, and the last sync has changed all of them.
func BenchmarkPage(b *testing.B) {
	handler := madeWorld(b, "web", 1000, 1000).handler()
	for _, of := range [][2]string{
		{"overview", "/"}, {"plan", "/plan"}, {"history", "/syncs"}, {"sync", "/syncs/latest"}, {"secrets", "/secrets"}, {"log", "/services/web/logs"},
	} {
		path := of[1]
		b.Run(of[0], func(b *testing.B) {
			size := 0
			for b.Loop() {
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "http://127.0.0.1"+path, nil))
				if answer.Code != http.StatusOK {
					b.Fatalf("%s answers %d", path, answer.Code)
				}
				size = answer.Body.Len()
			}
			b.ReportMetric(float64(size)/1000, "kB/page")
		})
	}
}
