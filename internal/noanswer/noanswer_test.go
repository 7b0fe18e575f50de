package noanswer_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/noanswer"
)

// TestCause asks servers that do not answer: no cause has the address, which has a token.
func TestCause(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	stranger := httptest.NewTLSServer(http.NotFoundHandler())
	defer stranger.Close()
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer cut.Close()
	for name, test := range map[string]struct {
		address         string
		untrusted, late bool
		want            string
	}{
		"silent":   {silent.URL, false, true, "context deadline exceeded"},
		"stranger": {stranger.URL, true, false, "certificate"},
		"cut":      {cut.URL, false, false, "EOF"},
		"no one":   {"http://127.0.0.1:1", false, false, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			limit := time.Minute
			if test.late {
				limit = 50 * time.Millisecond
			}
			ctx, stop := context.WithTimeout(t.Context(), limit)
			defer stop()
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, test.address+"/canary", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(request)
			if err == nil {
				_ = response.Body.Close()
				t.Fatal("there was an answer")
			}
			cause := noanswer.Cause(err)
			if text := cause.Error(); !strings.Contains(text, test.want) || strings.Contains(text, "canary") {
				t.Errorf("the cause is %q", text)
			}
			if untrusted, late := noanswer.Untrusted(cause), noanswer.Late(cause); untrusted != test.untrusted || late != test.late {
				t.Errorf("untrusted %v, late %v", untrusted, late)
			}
		})
	}
}
