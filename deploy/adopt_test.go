package deploy_test

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/deploy"
)

func healthcheck() *container.HealthConfig {
	return &container.HealthConfig{
		Test: []string{"CMD", "/app", "health"}, Interval: 200 * time.Millisecond, Timeout: 5 * time.Second, Retries: 2,
	}
}

// stackFile is the compose file from which the docker CLI makes the specs below.
const stackFile = `
version: "3.8"
services:
  web:
    image: coin/app:1
    environment: {SERVICE_NAME: web}
    deploy:
      endpoint_mode: dnsrr
      replicas: 2
      update_config: {parallelism: 1, monitor: 300ms}
      placement: {constraints: [node.role == manager]}
  each:
    image: coin/app:1
    environment: {SERVICE_NAME: each}
    deploy: {mode: global, endpoint_mode: dnsrr, update_config: {parallelism: 1, monitor: 300ms}}
`

func TestAdoptionRestartsNothing(t *testing.T) {
	on, recorder, engine := swarmWith(t)
	stack := newStack(on.Stack(t))
	on.Docker(t, stackFile, "stack", "deploy", "--resolve-image", "never", "-c", "-", stack.Name)
	two := uint64(2)
	add(stack, "web", func(s *swarm.ServiceSpec) {
		s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &two}
		s.TaskTemplate.Placement.Constraints = []string{"node.role == manager"}
	})
	add(stack, "each", func(s *swarm.ServiceSpec) { s.Mode.Global = &swarm.GlobalService{} })
	verify(t, engine, stack, deploy.Plan{})
	before := taskIDs(append(on.Tasks(t, stack.Name+"_web"), on.Tasks(t, stack.Name+"_each")...))

	plan := planFor(t, engine, stack)
	if diff := cmp.Diff([]string{stack.Name + "_each", stack.Name + "_web"}, plan.Adopted); diff != "" {
		t.Error(diff)
	}
	owned := []deploy.Change{{Path: "Labels[coin-agent.owner]", New: owner}}
	for _, step := range plan.Steps {
		if diff := cmp.Diff(owned, step.Changes); diff != "" || step.Restarts {
			t.Errorf("%s (restarts %v):\n%s", step.Name, step.Restarts, diff)
		}
	}
	recorder.Reset()
	rollout(t, engine, stack)
	if writes := recorder.Writes(); len(writes) != 2 {
		t.Errorf("writes: %v", writes)
	}
	after := taskIDs(append(on.Tasks(t, stack.Name+"_web"), on.Tasks(t, stack.Name+"_each")...))
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("tasks:\n%s", diff)
	}
}
