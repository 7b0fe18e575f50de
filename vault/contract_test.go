package vault_test

import (
	"os"
	"testing"

	"coin.internal/coin-agent/vault/vaulttest"
)

// TestContract runs on the double, and on the real Vault whose binary VAULT_TEST_BINARY names:
// make vault.
func TestContract(t *testing.T) {
	t.Run("double", func(t *testing.T) { vaulttest.Contract(t, vaulttest.New(t).Server) })
	if binary := os.Getenv("VAULT_TEST_BINARY"); binary != "" {
		t.Run("real", func(t *testing.T) { vaulttest.Contract(t, vaulttest.Real(t, binary)) })
	}
}
