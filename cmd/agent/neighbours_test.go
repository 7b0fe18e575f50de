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
// Why one cannot be asked is its answer.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer 0123456789abcdef0123456789abcdef" || r.URL.Path != "/v1/status" {
			http.Error(w, `{"error":"the token is not accepted"}`, http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"node":"node4","in_sync":true}`))
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
		write("token", "0123456789abcdef0123456789abcdef\n"): "",
		write("other", "ffffffffffffffffffffffffffffffff\n"): "the token is not accepted",
		filepath.Join(dir, "missing"):                        "the token file",
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
