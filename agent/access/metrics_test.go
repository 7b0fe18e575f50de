package access_test

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/internal/fault"
)

func TestMetricsAreNotOpenByAccident(t *testing.T) {
	for name, test := range map[string]struct {
		metrics access.Metrics
		says    string
	}{
		"none":                {access.Metrics{}, ""},
		"on loopback":         {access.Metrics{Listen: "127.0.0.1:9182"}, ""},
		"with both":           {access.Metrics{Listen: "0.0.0.0:9182", CertFile: "c", KeyFile: "k", TokenFile: "t"}, ""},
		"open":                {access.Metrics{Listen: "10.0.0.3:9182", Open: true}, ""},
		"without anything":    {access.Metrics{Listen: "0.0.0.0:9182"}, "there is no TLS"},
		"every address":       {access.Metrics{Listen: ":9182"}, "there is no TLS"},
		"without TLS":         {access.Metrics{Listen: "10.0.0.3:9182", TokenFile: "t"}, "there is no TLS"},
		"without a token":     {access.Metrics{Listen: "[::]:9182", CertFile: "c", KeyFile: "k"}, "there is no token"},
		"half a certificate":  {access.Metrics{Listen: "127.0.0.1:9182", KeyFile: "k"}, "belong together"},
		"without an address":  {access.Metrics{TokenFile: "t"}, "metrics_listen is missing"},
		"open without one":    {access.Metrics{Open: true}, "metrics_listen is missing"},
		"without a port":      {access.Metrics{Listen: "node3"}, "is not an address with a port"},
		"open without a port": {access.Metrics{Listen: "node3", Open: true}, "is not an address with a port"},
	} {
		err := test.metrics.Validate()
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says) || fault.Hint(err) == "") {
			t.Errorf("%s: %v, hint %q", name, err, fault.Hint(err))
		}
	}
}

// exposed serves "metrics" as the settings say.
func exposed(t *testing.T, metrics access.Metrics) (*access.Exposition, http.Handler) {
	t.Helper()
	exposition, err := access.Expose(metrics, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exposition.Listener().Close() })
	return exposition, exposition.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") }))
}

// Metrics are for those with the token, by a name of the host, and are only read.
func TestExposedMetrics(t *testing.T) {
	token := write(t, readToken, 0o600)
	_, closed := exposed(t, access.Metrics{Listen: "127.0.0.1:0", TokenFile: token, Hosts: []string{"node3.internal"}})
	_, open := exposed(t, access.Metrics{Listen: "127.0.0.1:0"})
	without := func(r *http.Request) { r.Header.Del("Authorization") }
	for name, test := range map[string]struct {
		change     func(*http.Request)
		code, bare int // with a token in the settings, and without one
	}{
		"token":        {func(*http.Request) {}, 200, 200},
		"no token":     {without, 401, 200},
		"wrong token":  {header("Authorization", "Bearer "+operateToken), 401, 200},
		"listed name":  {host("node3.internal:9182"), 200, 421},
		"address":      {host("10.0.0.3:9182"), 200, 200},
		"IPv6 address": {host("[fd00::3]:9182"), 200, 200},
		"other name":   {host("evil.example:9182"), 421, 421},
		"other site":   {header("Origin", "http://evil.example"), 403, 403},
		"cross site":   {header("Sec-Fetch-Site", "cross-site"), 403, 403},
		"write":        {func(r *http.Request) { r.Method = http.MethodPost }, 405, 405},
		"cookie":       {func(r *http.Request) { without(r); r.Header.Set("Cookie", "coin-agent="+readToken) }, 401, 200},
	} {
		for handler, code := range map[*http.Handler]int{&closed: test.code, &open: test.bare} {
			got := ask(t, *handler, test.change)
			if got.Code != code || (code == 200) != (got.Body.String() == "metrics") {
				t.Errorf("%s: %d %s, want %d", name, got.Code, got.Body, code)
			}
		}
	}
	if hint := ask(t, closed, without).Body.String(); !strings.Contains(hint, "metrics_token_file in agent.yml") {
		t.Errorf("the answer without a token is %s", hint)
	}
}

// A reload takes a new token, and the one before is refused from then on.
func TestExposedMetricsReload(t *testing.T) {
	token := write(t, operateToken, 0o600)
	exposition, handler := exposed(t, access.Metrics{Listen: "127.0.0.1:0", TokenFile: token})
	for _, step := range []struct {
		content string
		code    int
		fails   bool
	}{{operateToken, 401, false}, {readToken, 200, false}, {"short", 401, true}, {readToken, 200, false}} {
		if err := os.WriteFile(token, []byte(step.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := exposition.Reload(); (err != nil) != step.fails {
			t.Errorf("reload with %q: %v", step.content, err)
		}
		if got := ask(t, handler, func(*http.Request) {}); got.Code != step.code {
			t.Errorf("with %q in the file: %d, want %d", step.content, got.Code, step.code)
		}
	}
}
