package desired_test

import (
	"context"
	"testing"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/secrets"
)

// kv is a Vault in which each secret has the version 7, with one key.
type kv struct{ open *int }

func (kv) Read(_ context.Context, path string, _ int) (int, map[string][]byte, error) {
	return 7, map[string][]byte{"password": []byte("of " + path)}, nil
}

func (v kv) Close(context.Context) { *v.open-- }

// TestRenderAllFromVault has the stacks of a node take secrets from Vault: one from the node's
// files, and one from its own.
func TestRenderAllFromVault(t *testing.T) {
	key := sopstest.NewKey(t)
	identity := key.File(t)
	open := 0
	options := desired.Options{
		Environment: "sandbox", Node: "node3",
		Keys: func() (*secrets.Keyring, error) { return secrets.LoadKeys(secrets.KeyFiles{Age: []string{identity}}) },
		Vault: desired.Vault{Below: "kv/data/coin", Open: func() (desired.VaultClient, error) {
			open++
			return kv{&open}, nil
		}},
	}
	fsys := twoStacks(
		"services: {router: {image: 'router:1', secrets: [tls]}}\nsecrets: {tls: {name: 'tls.$SV_tls', file: secrets/tls}}\n",
		"services: {web: {image: 'web:$TAG', secrets: [db]}}\nsecrets: {db: {name: 'db.$SV_db', file: secrets/db}}\n",
		map[string]string{
			"secrets.enc":          sopstest.YAML(t, key, map[string]string{"token": "x", "tls": "vault:kv/data/coin/tls#password@7"}),
			"business/secrets.enc": sopstest.YAML(t, key, map[string]string{"db": "vault:kv/data/coin/db#password@auto"}),
		})
	all, err := desired.RenderAll(t.Context(), fsys, options)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ name, path string }{{"tls.7", "kv/data/coin/tls"}, {"db.7", "kv/data/coin/db"}} {
		got := all[i].Stack.Secrets[0]
		if got.Spec.Name != want.name || got.Vault.Path != want.path || string(got.Value.Reveal()) != "of "+want.path {
			t.Errorf("stack %s has the secret %s of %q", all[i].Stack.Name, got.Spec.Name, got.Vault.Path)
		}
	}
	if open != 0 {
		t.Errorf("%d logins are left", open)
	}
	options.Vault.Below = "kv/data/coin/tls"
	if _, err := desired.RenderAll(t.Context(), fsys, options); err == nil {
		t.Error("a path that the node does not allow was read")
	}
}
