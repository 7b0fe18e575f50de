package deploy_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// flaws are specs that Swarm refuses, by what a plan says.
var flaws = map[string]func(*swarm.ServiceSpec){
	"a job cannot have update_config": func(s *swarm.ServiceSpec) { s.Mode = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{}} },
	"endpoint_mode dnsrr cannot have a port in the routing mesh": func(s *swarm.ServiceSpec) {
		s.EndpointSpec = &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR, Ports: []swarm.PortConfig{mesh(38401)}}
	},
	"it publishes port 38402/tcp twice": func(s *swarm.ServiceSpec) {
		s.EndpointSpec = &swarm.EndpointSpec{Ports: []swarm.PortConfig{mesh(38402), onHost(38402)}}
	},
	"limits.cpus is less than 0.001": func(s *swarm.ServiceSpec) {
		s.TaskTemplate.Resources = &swarm.ResourceRequirements{Limits: &swarm.Limit{NanoCPUs: 1e6 - 1}}
	},
	"reservations.memory is less than 4M": func(s *swarm.ServiceSpec) {
		s.TaskTemplate.Resources = &swarm.ResourceRequirements{Reservations: &swarm.Resources{MemoryBytes: 4<<20 - 1}}
	},
	`"node.role = manager" is not a placement constraint`: constrained("node.role = manager"),
	`"node role==manager" is not a placement constraint`:  constrained("node role==manager"),
	`"node.role==a!=b" is not a placement constraint`:     constrained("node.role==a!=b"),
	`"sometimes" is not a condition of restart_policy`: func(s *swarm.ServiceSpec) {
		s.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: "sometimes"}
	},
}

func constrained(text string) func(*swarm.ServiceSpec) {
	return func(s *swarm.ServiceSpec) { s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{text}} }
}

// TestUnacceptable: what Swarm refuses is refused before anything is written.
func TestUnacceptable(t *testing.T) {
	on, _, _ := swarmWith(t)
	for says, change := range flaws {
		stack := hostStack(on.Stack(t))
		add(stack, "a", func(s *swarm.ServiceSpec) {
			listens(s)
			change(s)
		})
		_, err := deploy.Diff(liveOf(newStack(stack.Name)), stack)
		if err == nil || !strings.Contains(err.Error(), stack.Name+"_a: "+says) {
			t.Errorf("%s: %v", says, err)
		}
		if _, err := on.API.ServiceCreate(t.Context(), stack.Services[stack.Name+"_a"], swarm.ServiceCreateOptions{}); err == nil {
			t.Errorf("Swarm accepts it: %s", says)
		}
	}
}

// TestAcceptable: constraints, ports and sizes that Swarm accepts.
func TestAcceptable(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := publishing(on.Stack(t), ports{"a": {onHost(38411)}, "b": {onHost(38411)}, "c": {mesh(38412), mesh(0), mesh(0)}})
	add(stack, "d", func(s *swarm.ServiceSpec) {
		constrained(" node.labels.a_b-c !=  x y/z.*$ ")(s)
		s.TaskTemplate.Resources = &swarm.ResourceRequirements{Limits: &swarm.Limit{NanoCPUs: 1e6, MemoryBytes: 4 << 20}}
		none := uint64(0)
		s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &none}
	})
	stack.Configs = []compose.Config{{Spec: swarm.ConfigSpec{
		Annotations: swarm.Annotations{Name: stack.Name + "_small", Labels: ownLabels(stack.Name)}, Data: []byte("a"),
	}}}
	addSecret(stack, "large", "1", strings.Repeat("a", 500<<10-1))
	rollout(t, engine, stack)
}

// TestUnacceptableContents: so are contents of a size that Swarm does not take, and two services of
// one stack on one port.
func TestUnacceptableContents(t *testing.T) {
	on, _, _ := swarmWith(t)
	for _, size := range []int{0, 500 << 10} {
		stack := newStack("s")
		addSecret(stack, "db", "1", strings.Repeat("a", size))
		if _, err := deploy.Diff(liveOf(newStack("s")), stack); err == nil || !strings.Contains(err.Error(), "Swarm takes 1 to 511999") {
			t.Errorf("a secret of %d bytes: %v", size, err)
		}
		if _, err := on.API.SecretCreate(t.Context(), swarm.SecretSpec{Annotations: swarm.Annotations{Name: on.Stack(t) + "_db.1"}, Data: bytes.Repeat([]byte("a"), size)}); err == nil {
			t.Errorf("Swarm accepts a secret of %d bytes", size)
		}
	}
	for _, size := range []int{0, 1000 << 10} {
		spec := swarm.ConfigSpec{Annotations: swarm.Annotations{Name: on.Stack(t) + "_c"}, Data: bytes.Repeat([]byte("a"), size)}
		stack := newStack("s")
		stack.Configs = []compose.Config{{Spec: spec}}
		if _, err := deploy.Diff(liveOf(newStack("s")), stack); err == nil || !strings.Contains(err.Error(), "Swarm takes 1 to 1023999") {
			t.Errorf("a config of %d bytes: %v", size, err)
		}
		if _, err := on.API.ConfigCreate(t.Context(), spec); err == nil {
			t.Errorf("Swarm accepts a config of %d bytes", size)
		}
	}
	for _, two := range []ports{{"a": {mesh(80)}, "b": {mesh(80)}}, {"a": {mesh(80)}, "b": {onHost(80)}}, {"a": {onHost(80)}, "b": {mesh(80)}}} {
		if _, err := deploy.Diff(liveOf(newStack("s")), publishing("s", two)); err == nil || !strings.Contains(err.Error(), "service s_b publishes port 80/tcp, and so does s_a") {
			t.Errorf("%v: %v", two, err)
		}
	}
}
