package paritytest

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/manifests"
)

// intended are the differences of a case that docs/parity.md gives reasons for.
// Each must still be there: one that is gone must leave the page as well.
var intended = map[string][]difference{
	"braces": {
		{"services.app.Labels.com.docker.stack.image", `"registry.invalid/app:1.27"`, `"registry.invalid/app:1.27-alpine"`},
		{"services.app.TaskTemplate.ContainerSpec.Env[0]", `"DASH=app-value"`, `"DASH=app-value-net"`},
		{"services.app.TaskTemplate.ContainerSpec.Env[1]", `"DEFAULT_DOLLAR=a$$b"`, `"DEFAULT_DOLLAR=a$b"`},
		{"services.app.TaskTemplate.ContainerSpec.Env[2]", `"NESTED=${SET}"`, `"NESTED=value"`},
		{"services.app.TaskTemplate.ContainerSpec.Env[3]", `"NESTED_SET=value}"`, `"NESTED_SET=value"`},
		{"services.app.TaskTemplate.ContainerSpec.Image", `"registry.invalid/app:1.27"`, `"registry.invalid/app:1.27-alpine"`},
		{"services.app.TaskTemplate.ContainerSpec.Mounts[0].Target", `"/nfs/"`, `"/nfs"`},
		{"services.app.TaskTemplate.ContainerSpec.Secrets[0].File.Mode", `440`, `288`},
	},
}

// newer are the cases that docker 20.10 refuses or renders otherwise; Render
// follows 28.
var newer = map[string]bool{"jobs": true, "merge-newer": true, "newer": true}

// TestCases compares the small cases in testdata, a repository with a node for
// each.
func TestCases(t *testing.T) {
	repository := os.DirFS("testdata")
	names, err := manifests.Nodes(repository, "cases")
	if err != nil {
		t.Fatal(err)
	}
	var total count
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			found, err := compareNode(t, repository, "cases", name, &total)
			if _, major := docker(t); major < 28 && newer[name] {
				if err == nil && len(found) == 0 {
					t.Errorf("docker %d agrees", major)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(intended[name], found, cmp.AllowUnexported(difference{})); diff != "" {
				t.Errorf("differences from docker stack deploy (-intended +found):\n%s", diff)
			}
		})
	}
	total.log(t)
}

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
			if _, major := docker(t); major < 28 {
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
