package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/settings"
)

// TestNeighbours asks the agents at the addresses of the settings with the token, and no others.
// Why one cannot be asked is its answer, also where it sends too much, or leads elsewhere.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request was sent elsewhere: %v", r.Header)
	}))
	defer elsewhere.Close()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch token := r.Header.Get("Authorization"); {
		case r.URL.Path != "/v1/status":
			t.Errorf("asked for %s", r.URL)
		case token == "Bearer 0123456789abcdef0123456789abcdef":
			_, _ = w.Write([]byte(`{"node":"node4","in_sync":true}`))
		case strings.HasPrefix(token, "Bearer large"):
			_, _ = w.Write([]byte(`{"node":"` + strings.Repeat("x", 5<<20) + `"}`))
		case strings.HasPrefix(token, "Bearer moved"):
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		default:
			http.Error(w, `{"error":"the token is not accepted"}`, http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := settings.Default()
	s.Node, s.FleetAPIs = "node3", []string{"node4=" + server.URL}
	s.CAFile = write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	for token, want := range map[string]string{
		write("token", "0123456789abcdef0123456789abcdef\n"):  "",
		write("other", "ffffffffffffffffffffffffffffffff\n"):  "the token is not accepted",
		write("large", "large0123456789abcdef0123456789ab\n"): "it is larger than 4 MiB",
		write("moved", "moved0123456789abcdef0123456789ab\n"): "307 Temporary Redirect",
		filepath.Join(dir, "missing"):                         "the token file",
	} {
		s.FleetTokenFile = token
		agents := neighbourAgents(&s)
		if len(agents) != 1 {
			t.Fatalf("%v", agents)
		}
		status, err := agents["node4"].Status(t.Context())
		if want == "" && (err != nil || status.Node != "node4" || !status.InSync) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %+v, %v", token, status, err)
		}
	}
}
