package paritytest

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"testing"

	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/manifests"
)

// TestLayers compares each stack of a node with several. What the stacks share is in the node's
// folder: with docker a user sources and joins these files for each of them.
func TestLayers(t *testing.T) {
	repository := os.DirFS("../../examples/layers")
	config, err := manifests.LoadConfig(repository, "sandbox")
	if err != nil {
		t.Fatal(err)
	}
	unscheduled(t)
	var total count
	for _, entry := range config.StacksOf("node1") {
		t.Run(entry.Name, func(t *testing.T) {
			node, err := manifests.LoadStack(repository, "sandbox", "node1", entry.Name)
			if err != nil {
				t.Fatal(err)
			}
			engine := swarmtest.Engine(t)
			node.Stack = engine.Stack(t)
			trial := &trial{engine: engine, node: node, dir: layOut(t, node), known: map[string]string{}}
			for of, name := range map[string]string{"node.env": "node.env", "project.env": ".project.tmp.env", "secrets.enc": "secrets.override.enc"} {
				data, err := fs.ReadFile(repository, path.Join(node.Home, of))
				if err == nil {
					err = os.WriteFile(filepath.Join(trial.dir, name), data, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			makeExternals(t, engine, render(t, node))
			found, err := trial.compare(t, &total)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range found {
				t.Error(one)
			}
			trial.adopts(t)
			trial.overwritten(t)
		})
	}
	if total.services != 4 || total.networks != 2 || total.secrets != 1 {
		t.Errorf("compared %d services, %d networks, %d secrets", total.services, total.networks, total.secrets)
	}
	total.log(t)
}
