package paritytest

import (
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// count counts the compared nodes, files and objects.
type count struct {
	mu sync.Mutex

	nodes, files, services, networks, secrets, configs, fields int
}

func (c *count) add(nodes, files int, sent *bodies, fields int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes += nodes
	c.files += files
	c.services += len(sent.services)
	c.networks += len(sent.networks)
	c.secrets += len(sent.secrets)
	c.configs += len(sent.configs)
	c.fields += fields
}

func (c *count) log(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("compared with docker stack deploy: %d nodes, %d files, %d services, %d networks, %d secrets, %d configs; %d compared fields",
		c.nodes, c.files, c.services, c.networks, c.secrets, c.configs, c.fields)
}

// TestExampleNodes compares every node of the example repository, and adopts each. The
// test has no keys for its secrets, so the agent cannot create them.
func TestExampleNodes(t *testing.T) {
	repository := os.DirFS("../../examples/coin-gitops")
	unscheduled(t)
	var total count
	environments, err := manifests.Environments(repository)
	if err != nil {
		t.Fatal(err)
	}
	for _, environment := range environments {
		names, err := manifests.Nodes(repository, environment)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			t.Run(environment+"/"+name, func(t *testing.T) {
				trial := newTrial(t, repository, environment, name)
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
	}
	if total.nodes != 11 {
		t.Errorf("%d nodes compared, want all 11", total.nodes)
	}
	total.log(t)
}

// compare deploys a trial's files with the docker command, and lists the differences
// between its requests and the rendered stack. The error is docker's.
func (r *trial) compare(t *testing.T, total *count) ([]difference, error) {
	t.Helper()
	sent, err := r.docker(t)
	if err != nil && len(sent.services) == 0 {
		return nil, err
	}
	stack := render(t, r.node)
	docker := sentFields(t, sent, r.node.Stack)
	found := differences(docker, renderedFields(t, stack))
	for i := range found { // the stack's name differs in each run
		found[i].docker = strings.ReplaceAll(found[i].docker, r.node.Stack, "stack")
		found[i].ours = strings.ReplaceAll(found[i].ours, r.node.Stack, "stack")
	}
	sameSecrets(t, sent, stack)
	total.add(1, len(r.node.ComposeFiles), sent, len(docker))
	return found, err
}

func render(t *testing.T, node *manifests.Node) *compose.Stack {
	t.Helper()
	var files []secrets.File
	for _, path := range node.SecretFiles {
		data, err := fs.ReadFile(node.FS, path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, secrets.File{Path: path, Data: data})
	}
	set, err := secrets.Seal(files, secrets.Options{AllowPlaintext: node.Config.AllowPlaintextSecrets})
	if err != nil {
		t.Fatal(err)
	}
	stack, err := compose.Render(node, set, compose.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// makeExternals makes the external objects of the stack.
func makeExternals(t *testing.T, engine *swarmtest.Swarm, stack *compose.Stack) {
	t.Helper()
	labels := map[string]string{compose.LabelStack: stack.Name} // so that they are removed with the stack
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range stack.ExternalNetworks {
		if container.NetworkMode(name).IsUserDefined() {
			_, err := engine.API.NetworkCreate(t.Context(), name, network.CreateOptions{Driver: "overlay", Labels: labels})
			check(err)
		}
	}
	for _, name := range stack.ExternalSecrets {
		_, err := engine.API.SecretCreate(t.Context(), swarm.SecretSpec{
			Annotations: swarm.Annotations{Name: name, Labels: labels}, Data: []byte("external"),
		})
		check(err)
	}
	for _, name := range stack.ExternalConfigs {
		_, err := engine.API.ConfigCreate(t.Context(), swarm.ConfigSpec{
			Annotations: swarm.Annotations{Name: name, Labels: labels}, Data: []byte("external"),
		})
		check(err)
	}
}
