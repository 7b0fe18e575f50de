package paritytest

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/manifests"
)

// TestRefused checks files of the Compose specification that Render accepts and the
// docker command refuses. The first line of each compose file has docker's error.
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
				words = "" // its error differs
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
