package drift_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/record"
)

// TestSame compares each of several sets of services with each: they are the same if all of their JSON
// is.
func TestSame(t *testing.T) {
	spec := func(image string) swarm.ServiceSpec {
		return swarm.ServiceSpec{TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: image, Env: []string{"A=<&>"}}}}
	}
	sets := []map[string]swarm.ServiceSpec{
		{},
		{"s_a": spec("1")},
		{"s_a": spec("2")},
		{"s_a": spec("1"), "s_ab": spec("1")},
		{"s_a": spec("1"), "s_ab": spec("2")},
		{"s_a": spec("1"), "s_ab": spec("1"), "s_é<": spec("1")},
		{"s_ab": spec("1"), "s_é<": spec("1")},
	}
	for i, recorded := range sets {
		text, err := json.Marshal(recorded)
		if err != nil {
			t.Fatal(err)
		}
		for j, services := range sets {
			now, err := json.Marshal(services)
			if err != nil {
				t.Fatal(err)
			}
			same, err := drift.Same(&record.GoodState{Services: text}, services)
			if err != nil || same != bytes.Equal(text, now) || same != (i == j) {
				t.Errorf("%s and %s: %t, %v", text, now, same, err)
			}
		}
	}
}
