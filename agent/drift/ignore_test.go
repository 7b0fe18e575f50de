package drift_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/manifests"
)

// TestFieldsAreKnown demands that deploy knows each field that drift_ignore can name: it finds
// the difference of a service that declares all of them from one that declares none.
func TestFieldsAreKnown(t *testing.T) {
	declared := swarm.ServiceSpec{
		Annotations:  swarm.Annotations{Name: "s_web", Labels: map[string]string{"a": "b"}},
		Mode:         swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: new(uint64(4))}},
		UpdateConfig: &swarm.UpdateConfig{Parallelism: 2}, RollbackConfig: &swarm.UpdateConfig{Parallelism: 2},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: &swarm.ContainerSpec{Image: "app:1", Env: []string{"A=1"}, Isolation: container.IsolationDefault},
			Placement:     &swarm.Placement{Constraints: []string{"node.role==manager"}},
			Resources:     &swarm.ResourceRequirements{Limits: &swarm.Limit{Pids: 1}, Reservations: &swarm.Resources{NanoCPUs: 1}},
			RestartPolicy: &swarm.RestartPolicy{Condition: "none"},
		},
	}
	live := swarm.ServiceSpec{Annotations: swarm.Annotations{Name: "s_web"}, TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: "app:2"}}}
	fields, _ := reflect.TypeFor[manifests.DriftIgnore]().FieldByName("Fields")
	for name := range strings.SplitSeq(fields.Tag.Get("enum"), "|") {
		stack := &compose.Stack{
			Name: "s", Services: map[string]swarm.ServiceSpec{"s_web": declared},
			Ignored: map[string][]compose.Ignored{"s_web": {{Field: name, Reason: "autoscaler"}}},
		}
		if got := deploy.IgnoredIn(deploy.LiveServices{"s_web": {Spec: live}}, stack); len(got) != 1 || len(got[0].Changes) == 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
