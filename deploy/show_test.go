package deploy_test

import (
	"encoding/json"
	"testing"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

func withEnv(env ...string) func(*swarm.ServiceSpec) {
	return func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Env = env }
}

// TestCreatedServiceIsListed creates a service with everything that a reviewer has to see.
func TestCreatedServiceIsListed(t *testing.T) {
	want := newStack("s")
	want.ExternalSecrets = []string{"theirs"}
	add(want, "a", func(s *swarm.ServiceSpec) {
		c := s.TaskTemplate.ContainerSpec
		c.User, c.Args, c.CapabilityAdd = "0:0", []string{"serve", "--password", "p4ss"}, []string{"CAP_SYS_ADMIN"}
		c.Mounts = []mount.Mount{{Type: mount.TypeBind, Source: "/", Target: "/host"}}
		c.Secrets = []*swarm.SecretReference{{SecretName: "theirs", File: &swarm.SecretReferenceFileTarget{Name: "t", UID: "0", GID: "0", Mode: 0o444}}}
		s.EndpointSpec = &swarm.EndpointSpec{Ports: []swarm.PortConfig{{Protocol: "tcp", TargetPort: 80, PublishedPort: 8080}}}
	})
	live := liveOf(newStack("s"))
	live.Secrets["theirs"] = swarm.Secret{ID: "1", Spec: swarm.SecretSpec{Annotations: swarm.Annotations{Name: "theirs"}}}
	plan, err := deploy.Diff(live, want)
	if err != nil || len(plan.Steps) != 1 {
		t.Fatal(plan.Steps, err)
	}
	has := map[string]string{}
	for _, change := range plan.Steps[0].Has {
		has[change.Path] = change.New
	}
	if diff := cmp.Diff(map[string]string{
		"TaskTemplate.ContainerSpec.User":                         "0:0",
		"TaskTemplate.ContainerSpec.Args":                         `["serve","--password","***"]`,
		"TaskTemplate.ContainerSpec.CapabilityAdd[CAP_SYS_ADMIN]": "CAP_SYS_ADMIN",
		"TaskTemplate.ContainerSpec.Mounts[/host]":                "bind /",
		"TaskTemplate.ContainerSpec.Secrets[t]":                   "theirs",
		"TaskTemplate.Networks[s_default]":                        "s_default (alias a)",
		"EndpointSpec.Ports[8080:80/tcp]":                         "ingress",
	}, has); diff != "" {
		t.Error(diff)
	}
	var what []string
	for _, grant := range plan.Grants {
		what = append(what, grant.Service+" "+grant.What)
	}
	if diff := cmp.Diff([]string{"s_a capability SYS_ADMIN", "s_a external secret theirs", "s_a mount / at /host"}, what); diff != "" {
		t.Error(diff)
	}
}

// TestGrantsOfChangedServices has grants in a service that changes and in one that does not.
func TestGrantsOfChangedServices(t *testing.T) {
	live, want := newStack("s"), newStack("s")
	socket := []mount.Mount{{Type: mount.TypeBind, Source: "/var/run/docker.sock", Target: "/s"}}
	for _, stack := range []*compose.Stack{live, want} {
		for _, name := range []string{"changed", "same"} {
			add(stack, name, func(s *swarm.ServiceSpec) {
				s.TaskTemplate.ContainerSpec.Mounts = socket
				if stack == want && name == "changed" {
					s.TaskTemplate.ContainerSpec.Env = []string{"A=b"}
				}
			})
		}
	}
	want.Services["s_changed"].TaskTemplate.ContainerSpec.CapabilityAdd = []string{"SYS_ADMIN"}
	plan, err := deploy.Diff(liveOf(live), want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"+ s_changed capability SYS_ADMIN", "= s_changed mount /var/run/docker.sock at /s"}, marked(plan.Grants)); diff != "" {
		t.Error(diff)
	}
	all := []string{"+ s_changed capability SYS_ADMIN", "= s_changed mount /var/run/docker.sock at /s", "= s_same mount /var/run/docker.sock at /s"}
	if diff := cmp.Diff(all, marked(deploy.Grants(liveOf(live), want))); diff != "" {
		t.Errorf("of all services: %s", diff)
	}
}

func marked(grants []compose.Grant) (texts []string) {
	for _, one := range grants {
		mark := "+ "
		if one.Kept {
			mark = "= "
		}
		texts = append(texts, mark+one.Service+" "+one.What)
	}
	return texts
}

// TestGrantsOfObjects has a service whose network and secret become others.
func TestGrantsOfObjects(t *testing.T) {
	live, want := newStack("s"), newStack("s")
	for _, stack := range []*compose.Stack{live, want} {
		stack.ExternalSecrets, stack.ExternalNetworks = []string{"theirs"}, []string{"proxy"}
		stack.Networks["s_lan"] = network.CreateOptions{Driver: "macvlan", Labels: map[string]string{compose.LabelStack: "s"}, Options: map[string]string{"parent": "eth0"}}
		add(stack, "a", func(s *swarm.ServiceSpec) {
			s.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{{SecretName: "theirs"}}
			s.TaskTemplate.Networks = []swarm.NetworkAttachmentConfig{{Target: "s_lan"}, {Target: "proxy", Aliases: []string{"a"}}}
		})
	}
	want.Services["s_a"].TaskTemplate.Networks[1].Aliases = []string{"a", "db"}
	now := liveOf(live)
	now.Secrets["theirs"] = swarm.Secret{Spec: swarm.SecretSpec{Annotations: swarm.Annotations{Name: "theirs"}}}
	lan := now.Networks["s_lan"]
	lan.Options = map[string]string{"parent": "eth1"}
	now.Networks["s_lan"] = lan
	if diff := cmp.Diff([]string{
		"= s_a external network proxy", "= s_a external secret theirs", "= s_a name a on network proxy", "+ s_a name db on network proxy",
		"= s_a network s_lan with driver macvlan", "+ s_a network s_lan with parent=eth0",
	}, marked(deploy.Grants(now, want))); diff != "" {
		t.Error(diff)
	}
}

// TestDigestDoesNotDependOnWhatIsShown compares the digest of a plan with that of its steps as
// agents have always made it, and reads a record of such an agent.
func TestDigestDoesNotDependOnWhatIsShown(t *testing.T) {
	live, want := newStack("s"), newStack("s")
	add(live, "a", withEnv("PARTNER=x7Gp2qLw9Zk4"))
	add(want, "a", withEnv("PARTNER=Qm3rT8vB1nHs"))
	add(want, "b", nil)
	plan, err := deploy.Diff(liveOf(live), want)
	if err != nil {
		t.Fatal(err)
	}
	old := deploy.RecordedPlan{Stack: plan.Stack}
	for _, step := range plan.Steps {
		if step.Name == "s_a" {
			step.Changes = []deploy.Change{{Path: "TaskTemplate.ContainerSpec.Env[PARTNER]", Old: "x7Gp2qLw9Zk4", New: "Qm3rT8vB1nHs"}}
		}
		old.Steps = append(old.Steps, step)
	}
	if old.Digest() != plan.Digest() {
		t.Errorf("the digest is %s, and was %s", plan.Digest(), old.Digest())
	}
	data, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var recorded deploy.RecordedPlan
	if err := json.Unmarshal(data, &recorded); err != nil || recorded.Digest() != plan.Digest() {
		t.Errorf("recorded as %s: %v", recorded.Digest(), err)
	}
}
