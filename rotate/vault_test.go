package rotate_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/sopstest"
)

// TestRotateRefusesVault keeps a reference to Vault as it is, on a node with one stack and on one
// with several.
func TestRotateRefusesVault(t *testing.T) {
	for _, stacks := range []string{"", ", stacks: [{name: system, path: .}, {name: business}]"} {
		l := newLab(t, func(key sopstest.Key, files map[string]string) {
			files["environments/sandbox/config.yml"] = "environment: {name: sandbox, type: non-production}\nnodes:\n  - {name: node3, context: c3" + stacks + "}\n"
			files[nodes+"node3/docker-compose.yml"] = "services:\n  web: {image: 'web:1'}\nsecrets:\n  db_access: {file: ./secrets/db_access, name: 'db_access_${SV_db_access}'}\n"
			files[nodes+"node3/secrets.enc"] = sopstest.YAML(t, key, map[string]string{"db_access": "vault:kv/data/coin/db#password@7"})
			files[nodes+"node3/business/docker-compose.yml"] = without
			delete(files, nodes+"node3/secrets.override.enc")
		})
		before := l.state()
		_, err := l.rotate(given("db_access", "canary-new"))
		if err == nil || !strings.Contains(err.Error(), `the value of the secret "db_access" is in Vault, at kv/data/coin/db`) || !strings.Contains(fault.Hint(err), "vault kv put") {
			t.Errorf("stacks %q: got %v", stacks, err)
		}
		if after := l.state(); after != before {
			t.Errorf("stacks %q: the working copy has changed:\n%s", stacks, after)
		}
	}
}
