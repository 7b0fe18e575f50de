package deploy_test

import (
	"slices"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// TestOtherOrderIsNotWritten deploys a service with every list without order, then wants
// the lists in another order and a default written differently. That alone is not a
// difference, and when a label is written, no task restarts.
func TestOtherOrderIsNotWritten(t *testing.T) {
	on, recorder, engine := swarmWith(t)
	first, second := newStack(on.Stack(t)), newStack("")
	second.Name, second.Networks = first.Name, first.Networks
	for _, name := range []string{"_x", "_y"} {
		first.Networks[first.Name+name] = network.CreateOptions{Driver: "overlay", Labels: ownLabels(first.Name)}
	}
	references := []*swarm.SecretReference{addSecret(first, "b", "1", "canary"), addSecret(first, "a", "1", "canary")}
	second.Secrets = first.Secrets
	add(first, "all", func(s *swarm.ServiceSpec) { everyList(s, first.Name, references) })
	add(second, "all", func(s *swarm.ServiceSpec) {
		everyList(s, first.Name, slices.Clone(references))
		turnLists(s)
	})
	rollout(t, engine, first)
	before := taskIDs(on.Tasks(t, first.Name+"_all"))
	if plan := planFor(t, engine, second); !plan.Empty() {
		t.Fatalf("another order is a difference: %+v", plan.Steps)
	}
	second.Services[first.Name+"_all"].Labels["a"] = "b"
	plan := planFor(t, engine, second)
	if len(plan.Steps) != 1 || !plan.Steps[0].LabelsOnly() {
		t.Fatalf("steps: %+v", plan.Steps)
	}
	recorder.Reset()
	rollout(t, engine, second)
	if writes := recorder.Writes(); len(writes) != 1 {
		t.Errorf("writes: %v", writes)
	}
	if diff := cmp.Diff(before, taskIDs(on.Tasks(t, first.Name+"_all"))); diff != "" {
		t.Errorf("tasks:\n%s", diff)
	}
}

func everyList(s *swarm.ServiceSpec, stack string, references []*swarm.SecretReference) {
	c := s.TaskTemplate.ContainerSpec
	c.Env = []string{"A=1", "B=2", "C=3"}
	c.Secrets = references
	c.Groups, c.CapabilityAdd, c.CapabilityDrop = []string{"2", "1"}, []string{"CAP_CHOWN", "CAP_KILL"}, []string{"CAP_MKNOD", "CAP_FOWNER"}
	c.Ulimits = []*container.Ulimit{{Name: "nofile", Soft: 64, Hard: 64}, {Name: "core", Soft: 1, Hard: 2}}
	c.Mounts = []mount.Mount{
		{Type: mount.TypeTmpfs, Target: "/b"},
		{Type: mount.TypeTmpfs, Target: "/a"},
		{Type: mount.TypeBind, Source: "/tmp", Target: "/c", ReadOnly: true},
	}
	s.TaskTemplate.Networks = []swarm.NetworkAttachmentConfig{
		{Target: stack + "_x", Aliases: []string{"one", "two"}},
		{Target: stack + "_y"},
	}
	s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.role==manager", "node.platform.os==linux"}}
	s.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{}
	s.EndpointSpec = &swarm.EndpointSpec{Ports: []swarm.PortConfig{
		{TargetPort: 81, PublishedPort: 38181, PublishMode: "host"},
		{TargetPort: 80, PublishedPort: 38180, PublishMode: "host"},
	}}
}

func turnLists(s *swarm.ServiceSpec) {
	c, attempts := s.TaskTemplate.ContainerSpec, uint64(0)
	slices.Reverse(c.Env)
	slices.Reverse(c.Secrets)
	slices.Reverse(c.Groups)
	slices.Reverse(c.CapabilityAdd)
	slices.Reverse(c.CapabilityDrop)
	slices.Reverse(c.Ulimits)
	slices.Reverse(c.Mounts)
	slices.Reverse(s.TaskTemplate.Networks)
	slices.Reverse(s.TaskTemplate.Networks[1].Aliases)
	slices.Reverse(s.TaskTemplate.Placement.Constraints)
	slices.Reverse(s.EndpointSpec.Ports)
	c.Isolation, s.TaskTemplate.Runtime, s.EndpointSpec.Mode = "default", "container", "vip"
	s.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: "any", MaxAttempts: &attempts}
}

// TestCredentialSpec writes a credential spec in a config and reads it: the stack has the
// name of the config, the engine its ID.
func TestCredentialSpec(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	version := func(name string) {
		stack.Configs = append(stack.Configs, compose.Config{Spec: swarm.ConfigSpec{
			Annotations: swarm.Annotations{Name: name, Labels: ownLabels(stack.Name)}, Data: []byte("{}"),
		}})
		none := uint64(0)
		add(stack, "a", func(s *swarm.ServiceSpec) {
			s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &none}
			c := s.TaskTemplate.ContainerSpec
			c.Privileges = &swarm.Privileges{CredentialSpec: &swarm.CredentialSpec{}}
			c.Configs = []*swarm.ConfigReference{{ConfigName: name, Runtime: &swarm.ConfigReferenceRuntimeTarget{}}}
		})
	}
	version(stack.Name + "_spec.1")
	rollout(t, engine, stack)
	if again := planFor(t, engine, stack); !again.Empty() {
		t.Fatalf("differs at once: %+v", again.Steps)
	}
	version(stack.Name + "_spec.2")
	plan := planFor(t, engine, stack)
	got := plan.Steps[len(plan.Steps)-1].Changes
	want := deploy.Change{Path: "TaskTemplate.ContainerSpec.Privileges.CredentialSpec.Config", Old: stack.Name + "_spec.1", New: stack.Name + "_spec.2"}
	if len(got) != 3 || !slices.Contains(got, want) {
		t.Errorf("changes: %+v", got)
	}
	rollout(t, engine, stack)
	service, _, err := on.API.ServiceInspectWithRaw(t.Context(), stack.Name+"_a", swarm.ServiceInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	live := service.Spec.TaskTemplate.ContainerSpec
	if id := live.Privileges.CredentialSpec.Config; id == "" || id != live.Configs[0].ConfigID {
		t.Errorf("the engine has %q for the config %+v", id, live.Configs[0])
	}
	if again := planFor(t, engine, stack); !again.Empty() {
		t.Errorf("differs afterwards: %+v", again.Steps)
	}
}

// TestDigestFromAFreshProcess plans twice, each time with a new engine connection.
func TestDigestFromAFreshProcess(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	for _, name := range []string{"a", "b", "c"} {
		none := uint64(0)
		add(stack, name, func(s *swarm.ServiceSpec) { s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &none} })
	}
	rollout(t, engine, stack)
	for _, spec := range stack.Services {
		spec.TaskTemplate.ContainerSpec.Env = []string{"LEVEL=debug"}
	}
	first := planFor(t, engine, stack).Digest()
	for range 5 {
		if again := planFor(t, connect(t, on.Host), stack).Digest(); again != first {
			t.Errorf("%s, first %s", again, first)
		}
	}
}
