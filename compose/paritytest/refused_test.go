package paritytest

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/manifests"
)

// TestRefused holds what Render takes and the docker command does not: files of
// the Compose specification that Swarm has no trouble with. The first line of a
// case's compose file has docker's words.
func TestRefused(t *testing.T) {
	repository := os.DirFS("testdata")
	names, err := manifests.Nodes(repository, "refused")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			data, err := fs.ReadFile(repository, "environments/refused/nodes/"+name+"/docker-compose.yml")
			if err != nil {
				t.Fatal(err)
			}
			line, _, _ := strings.Cut(string(data), "\n")
			words := strings.TrimPrefix(line, "# docker: ")
			if docker(t).old() {
				words = "" // other words
			}
			node, err := manifests.Load(repository, "refused", name)
			if err != nil {
				t.Fatal(err)
			}
			engine := swarmtest.Engine(t)
			node.Stack = engine.Stack(t)
			render(t, node)
			_, err = stackDeploy(t, engine.Host, layOut(t, node), node)
			if err == nil || !strings.Contains(err.Error(), words) {
				t.Errorf("docker says %v, want %q", err, words)
			}
		})
	}
}
