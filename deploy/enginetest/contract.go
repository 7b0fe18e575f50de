package enginetest

import (
	"context"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy"
)

// Swarm is what the contract calls: what package deploy calls, and what its tests need
// to look at services and to remove networks.
type Swarm interface {
	deploy.SwarmAPI
	deploy.HostAPI
	ServiceInspectWithRaw(ctx context.Context, service string, options swarm.ServiceInspectOptions) (swarm.Service, []byte, error)
	NetworkRemove(ctx context.Context, network string) error
}

// World is an engine for one test of the contract.
type World struct {
	Swarm  Swarm
	Stack  string    // what the test makes begins with it, and carries it as its stack's label
	Images [2]string // both are the demo program, see DemoApp
	Absent string    // an image that is nowhere
}

// Contract tests that an engine does what package deploy and its users rely on. It
// calls run for each of its tests, and run calls the test with an engine. What the
// real engine does is right: where the two differ, the simulated one is to change.
func Contract(t *testing.T, run func(t *testing.T, test func(t *testing.T, w World))) {
	t.Helper()
	for _, test := range slices.Concat(objectTests(), specTests(), taskTests(), endingTests(), updateTests(), failingUpdateTests()) {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(t *testing.T, w World) {
				t.Helper()
				test.run(&scene{t: t, world: w})
			})
		})
	}
}

// contractTest is one thing that engines do.
type contractTest struct {
	name string
	run  func(*scene)
}
