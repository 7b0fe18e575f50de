package main

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/provenance"
	"coin.internal/coin-agent/vault/vaulttest"
)

// TestAuditAsksVault warns of a newer version in Vault, and of a path that is not there or must
// not be read. What git removed, and what is not in Vault, is not asked for.
func TestAuditAsksVault(t *testing.T) {
	t.Parallel()
	double := vaulttest.New(t)
	admin := vaulttest.NewAdmin(t, double.Server)
	admin.Mount("kv", "2")
	for _, value := range []string{"canary-1", "canary-2", "canary-3"} {
		admin.Put("kv/data/coin/db", map[string]any{"password": value})
	}
	s := &settings.Settings{
		VaultAddress: double.Address, VaultMount: "kv", VaultPrefix: "coin", CAFile: double.CAFile,
		VaultTokenFile: admin.File("token", double.Root),
	}
	secret := func(name, version, path string) *provenance.Secret {
		return &provenance.Secret{Node: "node3", Name: name, Version: version, VaultPath: path}
	}
	removed := secret("old", "1", "kv/data/coin/old")
	removed.Removed = true
	report := &provenance.Report{Secrets: []*provenance.Secret{
		secret("db", "2", "kv/data/coin/db"), secret("db_user", "3", "kv/data/coin/db"), secret("gone", "1", "kv/data/coin/gone"),
		secret("other", "1", "kv/data/other/db"), secret("own", "1", ""), removed,
	}}
	if err := addVaultVersions(t.Context(), s, report); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"db on node3: newer version in Vault: 3; git says 2, which stays deployed until a commit says @3",
		"cannot read the newest version of kv/data/coin/gone: Vault has no version at kv/data/coin/gone",
		"cannot read the newest version of kv/data/other/db: the secret at kv/data/other/db in Vault must not be read: it is not below vault_prefix of agent.yml, kv/data/coin",
	}
	if diff := cmp.Diff(want, report.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if asked := double.Requests("kv/data/coin"); report.Secrets[1].VaultNewest != 3 || len(asked) != 3+2 {
		t.Errorf("the newest version is %d, after %v", report.Secrets[1].VaultNewest, asked)
	}
	s.VaultTokenFile = filepath.Join(t.TempDir(), "missing")
	if err := addVaultVersions(t.Context(), s, report); err == nil || strings.Contains(err.Error(), double.Root) {
		t.Errorf("without a token: %v", err)
	}
}

// inVault has the node's settings name a Vault, with a token that it accepts or not.
func inVault(t *testing.T, l *lab, accepted bool) func() {
	t.Helper()
	return func() {
		t.Helper()
		double := vaulttest.New(t)
		admin := vaulttest.NewAdmin(t, double.Server)
		token := map[bool]string{true: double.Root, false: "hvs.of-another"}[accepted]
		maps.Copy(l.settings, map[string]string{
			"vault_address": double.Address, "ca_file": double.CAFile, "vault_mount": "kv", "vault_prefix": "coin", "vault_token_file": admin.File("token", token),
		})
	}
}
