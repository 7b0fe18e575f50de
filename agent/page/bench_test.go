package page_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
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

// BenchmarkHeld says what the pages keep in memory after they were asked for, besides the status
// and the history that they show.
func BenchmarkHeld(b *testing.B) {
	w := madeWorld(b, "web", 1000, 1000)
	before := held()
	handler := w.handler()
	for b.Loop() {
		for _, path := range []string{"/", "/plan", "/syncs", "/syncs/latest", "/secrets", "/services/web/logs", "/fleet"} {
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(b.Context(), http.MethodGet, "http://127.0.0.1"+path, nil))
		}
	}
	b.ReportMetric(max(0, float64(held())-float64(before))/1000, "kB-held")
	runtime.KeepAlive(handler)
	runtime.KeepAlive(w)
}

// held gives the bytes of the heap that are in use.
func held() uint64 {
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return memory.HeapAlloc
}
