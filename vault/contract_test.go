package vault_test

import (
	"os"
	"testing"

	"coin.internal/coin-agent/vault/vaulttest"
)

// TestContract runs on the double, and on the real Vault whose binary VAULT_TEST_BINARY names:
// make vault.
func TestContract(t *testing.T) {
	servers := map[string]func(testing.TB) vaulttest.Server{"double": func(tb testing.TB) vaulttest.Server { return vaulttest.New(tb).Server }}
	if binary := os.Getenv("VAULT_TEST_BINARY"); binary != "" {
		servers["real"] = func(tb testing.TB) vaulttest.Server { return vaulttest.Real(tb, binary) }
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) { vaulttest.Contract(t, start(t)) })
	}
}
