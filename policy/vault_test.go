package policy_test

import (
	"errors"
	"strings"
	"testing"

	"coin.internal/coin-agent/policy"
)

func TestReadVault(t *testing.T) {
	with := func(rules string) *policy.Policy {
		read, err := policy.ReadFile("agent.yml", []byte("policy: {"+rules+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return read
	}
	for _, test := range []struct {
		name, path, below string
		rules             *policy.Policy
		want              string // "" is allowed
	}{
		{"below the prefix", "kv/data/coin/db", "kv/data/coin", nil, ""},
		{"the prefix itself", "kv/data/coin", "kv/data/coin", nil, ""},
		{"beside it", "kv/data/coindesk/db", "kv/data/coin", nil, "it is not below vault_prefix of agent.yml, kv/data/coin"},
		{"without a prefix", "kv/data/coin/db", "", nil, "vault_prefix of agent.yml is not set"},
		{"a strict policy without the rule", "kv/data/coin/db", "kv/data/coin", with("strict: true"), ""},
		{"listed", "kv/data/shared/tls", "kv/data/coin", with("vault: {paths: [kv/data/shared/*]}"), ""},
		{"not listed", "kv/data/coin/db", "kv/data/coin", with("vault: {paths: [kv/data/shared/*]}"), "policy.vault.paths does not allow it"},
		{"nothing listed", "kv/data/coin/db", "kv/data/coin", with("vault: {paths: []}"), "policy.vault.paths does not allow it"},
	} {
		err := test.rules.ReadVault(test.path, test.below)
		if allowed := err == nil; allowed != (test.want == "") || !allowed && (!strings.Contains(err.Error(), test.want) || !errors.Is(err, policy.ErrRefused)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}
