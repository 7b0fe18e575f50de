package manifests_test

import (
	"testing"

	"coin.internal/coin-agent/manifests"
)

// The table of promotions names nodes of its own environment.
func TestPromote(t *testing.T) {
	const file = "environments/sandbox/config.yml"
	config, err := manifests.LoadConfig(repository(map[string]string{file: fromSeed + "promote: {node3: dev1}\n"}), "sandbox")
	if err != nil || config.Promote["node3"] != "dev1" {
		t.Errorf("got %v, %v", config, err)
	}
	_, err = manifests.LoadConfig(repository(map[string]string{file: fromSeed + "promote: {node33: dev1}\n"}), "sandbox")
	if err == nil || err.Error() != `environments/sandbox/config.yml:12:19: promote has an entry for "node33", which is not a node in config.yml` {
		t.Error(err)
	}
}
