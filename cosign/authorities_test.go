package cosign_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"coin.internal/coin-agent/cosign"
	"coin.internal/coin-agent/internal/authorities"
)

// TestAuthoritiesOfAnAddress finds the authorities of a registry whose folder has the name of an IPv6
// address, and nothing if the folder is missing.
func TestAuthoritiesOfAnAddress(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	folder := filepath.Join(t.TempDir(), "[::1]:5000")
	ask := func() error {
		t.Helper()
		transport, err := authorities.Transport("")
		if err != nil {
			t.Fatal(err)
		}
		defer transport.CloseIdleConnections()
		if err := cosign.Trust(transport, folder); err != nil {
			t.Error(err)
		}
		response, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err == nil {
			err = response.Body.Close()
		}
		return err
	}
	if ask() == nil {
		t.Error("it is trusted without its authority")
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string][]byte{"ca.crt": authority, "client.key": []byte("no authority")} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := ask(); err != nil {
		t.Errorf("its authority is not found: %v", err)
	}
}
