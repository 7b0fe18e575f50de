package provenance_test

import (
	"testing"

	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/provenance"
)

// TestVaultReferences takes the versions of a secret in Vault from its references, with and
// without a key for readable ones.
func TestVaultReferences(t *testing.T) {
	l := newLab(t)
	refer := func(version string) string {
		return sopstest.YAML(t, l.key, map[string]string{"db_access": "vault:kv/data/coin/db#password@" + version, "api_key": "canary-api"})
	}
	l.Commit("Move to Vault", map[string]string{node3 + "secrets.override.env": "", node3 + "secrets.enc": refer("7")})
	l.Commit("Raise", map[string]string{node3 + "secrets.enc": refer("8")})
	report, err := provenance.Trace(t.Context(), provenance.Request{Dir: l.Dir, Environment: "sandbox", Secret: "db_access", Keys: l.keys, Now: l.now})
	if err != nil || len(report.Secrets) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	secret := report.Secrets[0]
	var versions []string
	for _, entry := range secret.Entries {
		versions = append(versions, entry.Version+" "+string(entry.NewValue))
	}
	if len(versions) != 3 || versions[1] != "7 yes" || versions[2] != "8 yes" || secret.Object != "db_access.8" || secret.VaultPath != "kv/data/coin/db" || len(secret.Warnings) > 0 {
		t.Errorf("%v: %+v", versions, secret)
	}
}
