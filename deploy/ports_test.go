package deploy_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
)

// ports are those of services by their short names.
type ports map[string][]swarm.PortConfig

func mesh(port uint32) swarm.PortConfig {
	return swarm.PortConfig{PublishedPort: port, TargetPort: 8080, Protocol: "tcp", PublishMode: "ingress"}
}

func onHost(port uint32) swarm.PortConfig {
	return swarm.PortConfig{PublishedPort: port, TargetPort: 8080, Protocol: "tcp", PublishMode: "host"}
}

// publishing gives a stack of services that publish ports. They have no tasks: what the managers
// accept does not depend on them.
func publishing(name string, services ports) *compose.Stack {
	stack := hostStack(name)
	for short, published := range services {
		add(stack, short, func(s *swarm.ServiceSpec) {
			listens(s)
			none := uint64(0)
			s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &none}
			s.EndpointSpec = &swarm.EndpointSpec{Mode: swarm.ResolutionModeVIP, Ports: published}
		})
	}
	return stack
}

// moves are ports that change hands, with the steps that move them in order.
var moves = map[string]struct {
	before, after ports
	steps         []string
}{
	"to a new service": {
		ports{"z": {mesh(38301)}},
		ports{"z": {mesh(38302)}, "a": {mesh(38301)}},
		[]string{"update service z", "create service a"},
	},
	"from the mesh to the hosts": {
		ports{"z": {mesh(38303)}},
		ports{"a": {onHost(38303)}},
		[]string{"remove service z", "create service a"},
	},
	"from the hosts to the mesh": {
		ports{"z": {onHost(38304)}},
		ports{"a": {mesh(38304)}},
		[]string{"remove service z", "create service a"},
	},
	"to the hosts, while the old service stays": {
		ports{"z": {mesh(38305)}, "a": nil},
		ports{"z": {onHost(38305)}, "a": {onHost(38305)}},
		[]string{"update service z", "update service a"},
	},
	"along a chain": {
		ports{"a": {mesh(38306)}, "b": {mesh(38307)}},
		ports{"a": {mesh(38307)}, "b": {mesh(38308)}, "c": {mesh(38306)}},
		[]string{"update service b", "update service a", "create service c"},
	},
}

// TestPortsMove has ports change hands, which the engine refuses in any other order, and in this one
// as well for a moment.
func TestPortsMove(t *testing.T) {
	for name, move := range moves {
		t.Run(name, func(t *testing.T) {
			on, _, engine := swarmWith(t)
			movePorts(t, engine, on.Stack(t), move.before, move.after, move.steps)
		})
		t.Run(name+", simulated", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				movePorts(t, deploy.New(simulated().Client(enginetest.Hooks{})), "t", move.before, move.after, move.steps)
			})
		})
	}
}

func movePorts(t *testing.T, engine *deploy.Engine, name string, before, after ports, steps []string) {
	t.Helper()
	rollout(t, engine, publishing(name, before))
	if diff := cmp.Diff(steps, lines(rollout(t, engine, publishing(name, after)))); diff != "" {
		t.Error(diff)
	}
	if again := planFor(t, engine, publishing(name, after)); !again.Empty() {
		t.Errorf("the next plan: %v", lines(again))
	}
}

// TestPortIsFreedLater has managers that are slow to free a port which its holder has given up.
func TestPortIsFreedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var given time.Time
		engine := deploy.New(simulated().Client(enginetest.Hooks{Before: func(_ context.Context, call enginetest.Call) error {
			if call.Method == "ServiceUpdate" {
				given = time.Now()
			}
			if call.Method == "ServiceCreate" && call.Name == "t_a" && time.Since(given) < 3*time.Second {
				return errors.New("rpc error: code = InvalidArgument desc = port '38301' is already in use by service 't_z' (lskhl8i240niqv24tr9c1gwgf) as an ingress port")
			}
			return nil
		}}))
		move := moves["to a new service"]
		movePorts(t, engine, "t", move.before, move.after, move.steps)
		if waited := time.Since(given); waited < 3*time.Second || waited > 5*time.Second {
			t.Errorf("it waited %s", waited)
		}
	})
}

// TestPortsThatOthersHold: a port that its holder keeps is refused at once.
func TestPortsThatOthersHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := deploy.New(simulated().Client(enginetest.Hooks{}))
		rollout(t, engine, publishing("other", ports{"z": {mesh(80)}}))
		stack := publishing("t", ports{"a": {mesh(80)}})
		began := time.Now()
		err := engine.Apply(t.Context(), planFor(t, engine, stack), stack, deploy.ApplyOptions{})
		if err == nil || !strings.Contains(err.Error(), "already in use by service 'other_z'") || time.Since(began) > 0 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// TestExchangedPorts: no order of writes exchanges two ports, so nothing is written. Ports of the
// hosts are exchanged: the managers accept both, and tasks wait for each other.
func TestExchangedPorts(t *testing.T) {
	lives := publishing("s", ports{"a": {mesh(80)}, "b": {mesh(81)}, "c": {mesh(82)}})
	for name, test := range map[string]struct {
		after ports
		says  string
	}{
		"of two":   {ports{"a": {mesh(81)}, "b": {mesh(80)}, "c": {mesh(82)}}, "s_b takes over 80/tcp from s_a, s_a takes over 81/tcp from s_b"},
		"of three": {ports{"a": {mesh(81)}, "b": {mesh(82)}, "c": {mesh(80)}}, "s_c takes over 80/tcp from s_a, s_a takes over 81/tcp from s_b, s_b takes over 82/tcp from s_c"},
		"modes":    {ports{"a": {onHost(81)}, "b": {onHost(80)}, "c": {mesh(82)}}, "s_b takes over 80/tcp from s_a, s_a takes over 81/tcp from s_b"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := deploy.Diff(liveOf(lives), publishing("s", test.after))
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
		})
	}
	one, other := publishing("s", ports{"a": {onHost(80)}, "b": {onHost(81)}}), publishing("s", ports{"a": {onHost(81)}, "b": {onHost(80)}})
	if plan, err := deploy.Diff(liveOf(one), other); err != nil || len(plan.Steps) != 2 {
		t.Errorf("ports of the hosts: %v, %v", plan.Steps, err)
	}
}
