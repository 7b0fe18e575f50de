package paritytest

import (
	"io/fs"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// count sums up what was compared.
type count struct{ nodes, services, networks, secrets, configs, fields int }

func (c count) log(t *testing.T) {
	t.Helper()
	t.Logf("compared with docker stack deploy: %d nodes, %d services, %d networks, %d secrets, %d configs; %d fields",
		c.nodes, c.services, c.networks, c.secrets, c.configs, c.fields)
}

// TestExampleNodes compares every node of the example repository.
func TestExampleNodes(t *testing.T) {
	repository := os.DirFS("../../examples/coin-gitops")
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
				found, err := compareNode(t, repository, environment, name, &total)
				if err != nil {
					t.Fatal(err)
				}
				for _, one := range found {
					t.Error(one)
				}
			})
		}
	}
	if total.nodes != 11 {
		t.Errorf("%d nodes compared, want all 11", total.nodes)
	}
	total.log(t)
}

// compareNode renders a node and has the docker command deploy it, and lists
// where the two differ. Where they agree it checks that the agent would take the
// stack over without touching a task. The error is docker's.
func compareNode(t *testing.T, repository fs.FS, environment, name string, total *count) ([]difference, error) {
	t.Helper()
	engine := swarmtest.Engine(t)
	node, err := manifests.Load(repository, environment, name)
	if err != nil {
		t.Fatal(err)
	}
	node.Stack = engine.Stack(t)
	stack := render(t, node)
	makeExternals(t, engine, stack)
	sent, err := stackDeploy(t, engine.Host, layOut(t, node), node)
	if err != nil {
		return nil, err
	}
	docker := sentFields(t, sent, node.Stack)
	found := differences(docker, renderedFields(t, stack))
	sameSecrets(t, sent, stack)
	total.nodes++
	total.services += len(sent.services)
	total.networks += len(sent.networks)
	total.secrets += len(sent.secrets)
	total.configs += len(sent.configs)
	total.fields += len(docker)
	if len(found) == 0 && environment+"/"+name != "cases/credential" { // the plan does not know that spec's config ID
		adopts(t, engine.Host, stack)
	}
	return found, nil
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

// adopts demands that the plan for what docker has just deployed is the agent's
// own label on every service, and nothing else.
func adopts(t *testing.T, host string, stack *compose.Stack) {
	t.Helper()
	engine, err := deploy.Connect(host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.Close() }()
	live, err := engine.Observe(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := deploy.Diff(live, stack)
	if err != nil {
		t.Fatalf("plan the adoption: %v", err)
	}
	for _, step := range plan.Steps {
		if step.Kind != deploy.Service || !step.LabelsOnly() {
			t.Errorf("adoption is not labels only: %s %s %s: %+v", step.Action, step.Kind, step.Name, step.Changes)
		}
	}
	want := slices.DeleteFunc(slices.Sorted(maps.Keys(stack.Services)), func(name string) bool {
		mode := stack.Services[name].Mode
		return mode.ReplicatedJob != nil || mode.GlobalJob != nil // a write would run them again
	})
	if !slices.Equal(plan.Adopted, want) {
		t.Errorf("adopted %v, want %v", plan.Adopted, want)
	}
	for _, warning := range plan.Warnings {
		t.Errorf("the plan warns: %s", warning)
	}
}

// makeExternals makes what the stack expects to be there.
func makeExternals(t *testing.T, engine *swarmtest.Swarm, stack *compose.Stack) {
	t.Helper()
	labels := map[string]string{compose.LabelStack: stack.Name} // removed with the stack
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
