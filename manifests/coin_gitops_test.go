package manifests_test

import (
	"os"
	"testing"

	"coin.internal/coin-agent/manifests"
)

// TestCoinGitops loads every node of the example repository.
func TestCoinGitops(t *testing.T) {
	fsys := os.DirFS("../examples/coin-gitops")
	environments, err := manifests.Environments(fsys)
	if err != nil || len(environments) != 4 {
		t.Fatalf("environments %v: %v", environments, err)
	}
	for _, environment := range environments {
		nodes, err := manifests.Nodes(fsys, environment)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range nodes {
			node, err := manifests.Load(fsys, environment, name)
			if err != nil {
				t.Errorf("%s/%s: %v", environment, name, err)
				continue
			}
			for _, warning := range node.Warnings {
				t.Errorf("%s/%s warns: %v", environment, name, warning)
			}
		}
	}
}
